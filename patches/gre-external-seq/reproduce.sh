#!/usr/bin/env bash
# Shows on any Linux host, in network namespaces of its own, that a GRE device in external mode gives
# all segments of a super-packet one sequence number. Needs root, iproute2, ethtool and python3.
#
#   sender, gre0x (external, route with seq) -- veth, tso off -- gre1 (iseq), receiver
#
# Exit status: 0 no segment was refused, 1 some were (the kernel has the fault), 2 nothing was learned.
set -euo pipefail

sender=gso-sender-$$ receiver=gso-receiver-$$
undo() { ip netns del "$sender" || true; ip netns del "$receiver" || true; }
trap undo EXIT
in_sender() { ip netns exec "$sender" "$@"; }
in_receiver() { ip netns exec "$receiver" "$@"; }

ip netns add "$sender"
ip netns add "$receiver"
ip link add wire netns "$sender" type veth peer name wire netns "$receiver"
in_sender ip addr add 203.0.113.1/24 dev wire
in_receiver ip addr add 203.0.113.2/24 dev wire
in_sender ip link set wire up
in_receiver ip link set wire up
in_sender ethtool -K wire tso off

in_sender ip link add gre0x type gre external || exit 2
in_sender ip addr add 192.0.2.1/32 dev gre0x
in_sender ip link set gre0x up
in_sender ip route add 192.0.2.2 src 192.0.2.1 dev gre0x \
  encap ip id 1 dst 203.0.113.2 src 203.0.113.1 ttl 64 key seq
in_receiver ip link add gre1 type gre local 203.0.113.2 remote 203.0.113.1 ikey 1 iseq okey 2
in_receiver ip addr add 192.0.2.2/32 dev gre1
in_receiver ip link set gre1 up
# The answers need no tunnel.
in_receiver ip route add 192.0.2.1 via 203.0.113.1 src 192.0.2.2
in_sender sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.wire.rp_filter=0
in_receiver sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.gre1.rp_filter=0

refused() { in_receiver cat /sys/class/net/gre1/statistics/rx_fifo_errors; }

send() {
  in_receiver python3 -c '
import socket
with socket.create_server(("192.0.2.2", 5001)) as server:
    connection, _ = server.accept()
    while connection.recv(65536):
        pass' &
  local listening=$!
  sleep 1
  in_sender python3 -c '
import socket
with socket.create_connection(("192.0.2.2", 5001), 20) as connection:
    connection.sendall(bytes(100_000))'
  wait "$listening"
}

before=$(refused); send; with_offload=$(($(refused) - before))
in_sender ethtool -K gre0x gso off tso off
before=$(refused); send; without=$(($(refused) - before))
echo "100000 bytes in super-packets: $with_offload segments refused; without segmentation: $without"
[ "$with_offload" -eq 0 ]
