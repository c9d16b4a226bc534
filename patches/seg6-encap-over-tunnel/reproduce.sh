#!/usr/bin/env bash
# Shows on any Linux host, in network namespaces of its own, that a route with `encap seg6` drops the
# super-packets of a VXLAN device. Needs root, iproute2, ethtool and python3.
#
#   sender, vxlan0, route to its peer with encap seg6 -- wire (veth, tso off) -- vxlan0, receiver
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
# The segment: an address of the receiver that the tunnel does not use.
in_receiver ip addr add 2001:db8::5/64 dev wire nodad
in_sender ip link set wire up
in_receiver ip link set wire up

for where in sender receiver; do
  if [ $where = sender ]; then mine=1 other=2; else mine=2 other=1; fi
  "in_$where" ip link add vxlan0 mtu 1500 type vxlan id 42 dstport 4789 \
    local "2001:db8::$mine" remote "2001:db8::$other"
  "in_$where" ip addr add "192.0.2.$mine/24" dev vxlan0
  "in_$where" ip link set vxlan0 up
done
in_sender ip -6 route add 2001:db8::2/128 encap seg6 mode encap segs 2001:db8::5 dev wire

dropped() { in_sender cat /sys/class/net/wire/statistics/tx_dropped; }

# Sends through the tunnel, and says how many packets were dropped on their way out.
send() {
  local before
  before=$(dropped)
  in_receiver timeout 60 python3 -c '
import socket
with socket.create_server(("192.0.2.2", 5001)) as server:
    connection, _ = server.accept()
    while connection.recv(65536):
        pass' &
  sleep 1
  in_sender timeout 60 python3 -c '
import socket
with socket.create_connection(("192.0.2.2", 5001), 20) as connection:
    connection.sendall(bytes(100_000))'
  wait $!
  echo $(($(dropped) - before))
}

in_sender ethtool -K wire tso off
in_sender ethtool -K vxlan0 tso off gso off
without=$(send) || exit 4
in_sender ethtool -K vxlan0 tso on gso on
with_offload=$(send)
echo "100000 bytes in super-packets: $with_offload packets dropped; without segmentation: $without"
[ "$with_offload" -le "$without" ]
