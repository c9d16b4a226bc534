#!/usr/bin/env bash
# Shows on any Linux host, in network namespaces of its own, that a route with `encap seg6 mode inline`
# drops super-packets. Needs root, iproute2, ethtool and python3.
#
#   sender, route with encap seg6 mode inline -- wire (veth, tso off) -- receiver
#
# Exit status: 0 no packet was dropped, 1 some were (the kernel has the fault), 4 this kernel lacks
# something, or carries nothing without segmentation either.
set -euo pipefail

sender=gso-sender-$$ receiver=gso-receiver-$$
undo() { ip netns del "$sender" || true; ip netns del "$receiver" || true; }
trap undo EXIT
in_sender() { ip netns exec "$sender" "$@" || exit 4; }
in_receiver() { ip netns exec "$receiver" "$@" || exit 4; }

ip netns add "$sender"
ip netns add "$receiver"
ip link add wire mtu 2000 netns "$sender" type veth peer name wire mtu 2000 netns "$receiver"
in_receiver sysctl -qw net.ipv6.conf.all.seg6_enabled=1 net.ipv6.conf.wire.seg6_enabled=1
in_sender ip addr add 2001:db8::1/64 dev wire nodad
in_receiver ip addr add 2001:db8::2/64 dev wire nodad
in_receiver ip link set lo up
in_receiver ip addr add 2001:db8:f::2/128 dev lo nodad
in_sender ip link set wire up
in_receiver ip link set wire up
in_sender ip -6 route add 2001:db8:f::2/128 encap seg6 mode inline segs 2001:db8::2 dev wire

dropped() { in_sender cat /sys/class/net/wire/statistics/tx_dropped; }

# Sends to the receiver, and says how many packets were dropped on their way out.
send() {
  local before
  before=$(dropped)
  in_receiver timeout 60 python3 -c '
import socket
with socket.create_server(("2001:db8:f::2", 5001), family=socket.AF_INET6) as server:
    connection, _ = server.accept()
    while connection.recv(65536):
        pass' &
  sleep 1
  in_sender timeout 60 python3 -c '
import socket
with socket.create_connection(("2001:db8:f::2", 5001), 20) as connection:
    connection.sendall(bytes(100_000))'
  wait $!
  echo $(($(dropped) - before))
}

in_sender ethtool -K wire tso off gso off
without=$(send) || exit 4
in_sender ethtool -K wire gso on
with_offload=$(send)
echo "100000 bytes in super-packets: $with_offload packets dropped; without segmentation: $without"
[ "$with_offload" -le "$without" ]
