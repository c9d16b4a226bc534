#!/usr/bin/env bash
# Shows on any Linux host, in network namespaces of its own, that super-packets which came through a
# VXLAN tunnel are dropped where tc pushes an MPLS label. Needs root, iproute2, ethtool and python3.
#
#   sender, vxlan0 -- near -- vxlan0, router, tc mpls push -- far (veth, tso off) -- tc mpls pop, receiver
#
# Exit status: 0 no packet was dropped, 1 some were (the kernel has the fault), 4 this kernel lacks
# something, or carries nothing without a label either.
set -euo pipefail

sender=gso-sender-$$ router=gso-router-$$ receiver=gso-receiver-$$
undo() { for each in "$sender" "$router" "$receiver"; do ip netns del "$each" || true; done; }
trap undo EXIT
in_sender() { ip netns exec "$sender" "$@" || exit 4; }
in_router() { ip netns exec "$router" "$@" || exit 4; }
in_receiver() { ip netns exec "$receiver" "$@" || exit 4; }

modprobe -aq vxlan act_mpls mpls_gso cls_matchall sch_ingress || true
for each in "$sender" "$router" "$receiver"; do ip netns add "$each"; done
ip link add near mtu 2000 netns "$sender" type veth peer name near mtu 2000 netns "$router"
ip link add far mtu 2000 netns "$router" type veth peer name far mtu 2000 netns "$receiver"
in_sender ip addr add 198.51.100.1/24 dev near
in_router ip addr add 198.51.100.2/24 dev near
in_router ip addr add 203.0.113.1/24 dev far
in_receiver ip addr add 203.0.113.2/24 dev far
in_sender ip link set near up
in_router ip link set near up
in_router ip link set far up
in_receiver ip link set far up
in_router sysctl -qw net.ipv4.ip_forward=1
in_router ethtool -K far tso off

for where in sender router; do
  if [ $where = sender ]; then mine=1 other=2; else mine=2 other=1; fi
  "in_$where" ip link add vxlan0 mtu 1500 type vxlan id 42 dstport 4789 \
    local "198.51.100.$mine" remote "198.51.100.$other"
  "in_$where" ip addr add "192.0.2.$mine/24" dev vxlan0
  "in_$where" ip link set vxlan0 up
done
in_sender ip route add 203.0.113.0/24 via 192.0.2.2
in_receiver ip route add 192.0.2.0/24 via 203.0.113.1

dropped() { in_router cat /sys/class/net/far/statistics/tx_dropped; }

# Sends through the tunnel and on, and says how many packets the router dropped on their way out.
send() {
  local before
  before=$(dropped)
  in_receiver timeout 60 python3 -c '
import socket
with socket.create_server(("203.0.113.2", 5001)) as server:
    connection, _ = server.accept()
    while connection.recv(65536):
        pass' &
  sleep 1
  in_sender timeout 60 python3 -c '
import socket
with socket.create_connection(("203.0.113.2", 5001), 20) as connection:
    connection.sendall(bytes(100_000))'
  wait $!
  echo $(($(dropped) - before))
}

without=$(send) || exit 4
in_router tc qdisc add dev far clsact
in_receiver tc qdisc add dev far clsact
in_receiver tc filter add dev far ingress protocol mpls_uc matchall action mpls pop protocol ip
in_router tc filter add dev far egress protocol ip matchall action mpls push label 77
with_label=$(send)
echo "100000 bytes in super-packets: $with_label packets dropped with a label; without one: $without"
[ "$with_label" -le "$without" ]
