#!/usr/bin/env bash
# Shows on any Linux host, in network namespaces of its own, that super-packets of a tunnel are dropped
# where a route gives the outer packets an MPLS label. Needs root, iproute2, ethtool and python3.
#
#   sender, fou0 (IP in FOU), route with a label -- veth, tso off -- label and FOU taken off, receiver
#
# Exit status: 0 no packet was dropped, 1 some were (the kernel has the fault), 2 nothing was learned.
set -euo pipefail

sender=gso-sender-$$ receiver=gso-receiver-$$
undo() { ip netns del "$sender" || true; ip netns del "$receiver" || true; }
trap undo EXIT
in_sender() { ip netns exec "$sender" "$@"; }
in_receiver() { ip netns exec "$receiver" "$@"; }

modprobe -a fou ipip mpls_router mpls_iptunnel mpls_gso 2>/dev/null || true
ip netns add "$sender"
ip netns add "$receiver"
ip link add wire mtu 1600 netns "$sender" type veth peer name wire mtu 1600 netns "$receiver"
in_sender ip link set lo up
in_receiver ip link set lo up
in_sender ip addr add 203.0.113.1/24 dev wire
in_receiver ip addr add 203.0.113.2/24 dev wire
in_receiver ip addr add 198.51.100.2/32 dev lo
in_sender ip link set wire up
in_receiver ip link set wire up
in_sender ethtool -K wire tso off

in_sender ip link add fou0 type ipip local 203.0.113.1 remote 198.51.100.2 \
  encap fou encap-sport auto encap-dport 5555 || exit 2
in_sender ip addr add 192.0.2.1/32 dev fou0
in_sender ip link set fou0 mtu 1400 up
in_sender ip route add 192.0.2.2 src 192.0.2.1 dev fou0
in_sender ip route add 198.51.100.2 encap mpls 100 via 203.0.113.2 dev wire || exit 2
in_receiver sysctl -qw net.mpls.conf.wire.input=1 net.mpls.platform_labels=1000 || exit 2
in_receiver ip -f mpls route add 100 dev lo
in_receiver ip fou add port 5555 ipproto 4
in_receiver ip link add tunl0 type ipip 2>/dev/null || true
in_receiver ip link set tunl0 up
in_receiver ip addr add 192.0.2.2/32 dev lo
# The answers need no tunnel.
in_receiver ip route add 192.0.2.1 via 203.0.113.1 src 192.0.2.2
in_sender sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.wire.rp_filter=0
in_receiver sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.wire.rp_filter=0 \
  net.ipv4.conf.tunl0.rp_filter=0 net.ipv4.conf.lo.rp_filter=0

dropped() { in_sender cat /sys/class/net/wire/statistics/tx_dropped; }

send() {
  in_receiver timeout 120 python3 -c '
import socket
with socket.create_server(("192.0.2.2", 5001)) as server:
    connection, _ = server.accept()
    while connection.recv(65536):
        pass' &
  local listening=$!
  in_sender timeout 120 python3 -c '
import socket, time
while True:
    try:
        connection = socket.create_connection(("192.0.2.2", 5001), 20)
        break
    except ConnectionRefusedError:  # nobody listens yet
        time.sleep(0.2)
with connection:
    connection.sendall(bytes(100_000))' || exit 2
  wait "$listening" || exit 2
}

before=$(dropped); send; with_offload=$(($(dropped) - before))
in_sender ethtool -K fou0 gso off tso off
before=$(dropped); send; without=$(($(dropped) - before))
echo "100000 bytes in super-packets: $with_offload packets dropped; without segmentation: $without"
[ "$with_offload" -eq 0 ]
