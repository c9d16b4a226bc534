#!/usr/bin/env bash
# Shows on any Linux host, in network namespaces of its own, that the csum action of tc leaves checksums
# inside a tunnel undone. Needs root, iproute2, ethtool and python3.
#
#   sender, vxlan0 -- veth, tx off, tc egress action csum udp -- vxlan0, receiver
#
# Exit status: 0 all arrived, 1 not (the kernel has the fault), 2 nothing was learned.
set -euo pipefail

sender=gso-sender-$$ receiver=gso-receiver-$$
undo() { ip netns del "$sender" || true; ip netns del "$receiver" || true; }
trap undo EXIT
in_sender() { ip netns exec "$sender" "$@"; }
in_receiver() { ip netns exec "$receiver" "$@"; }

modprobe -a vxlan act_csum cls_matchall sch_ingress 2>/dev/null || true
ip netns add "$sender"
ip netns add "$receiver"
ip link add wire mtu 1600 netns "$sender" type veth peer name wire mtu 1600 netns "$receiver"
in_sender ip addr add 203.0.113.1/24 dev wire
in_receiver ip addr add 203.0.113.2/24 dev wire
in_sender ip link set wire up
in_receiver ip link set wire up
# What is on a wire is complete.
in_sender ethtool -K wire tx off >/dev/null

in_sender ip link add vxlan0 type vxlan id 1 dstport 4789 local 203.0.113.1 remote 203.0.113.2 \
  udpcsum || exit 2
in_receiver ip link add vxlan0 type vxlan id 1 dstport 4789 local 203.0.113.2 \
  remote 203.0.113.1 udpcsum
in_sender ip addr add 192.0.2.1/24 dev vxlan0
in_receiver ip addr add 192.0.2.2/24 dev vxlan0
in_sender ip link set vxlan0 mtu 1400 up
in_receiver ip link set vxlan0 mtu 1400 up

send() {
  in_receiver timeout 60 python3 -c '
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("192.0.2.2", 5001))
    server.settimeout(10)
    count = 0
    try:
        while True:
            server.recv(2048)
            count += 1
    except TimeoutError:
        print(count)' &
  local listening=$!
  sleep 4
  in_sender python3 -c '
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    for _ in range(20):
        client.sendto(bytes(500), ("192.0.2.2", 5001))'
  wait "$listening" || exit 2
}

without=$(send)
in_sender tc qdisc add dev wire clsact || exit 2
in_sender tc filter add dev wire egress protocol ip matchall action csum udp || exit 2
with_action=$(send)
echo "20 datagrams: $without arrived; with the csum action: $with_action"
[ "$without" -eq 20 ] || exit 2
[ "$with_action" -eq 20 ]
