#!/usr/bin/env bash
# Shows in network namespaces of its own that datagrams which are merged as a list do not survive a tunnel.
# THE MACHINE MAY DIE OF IT: run it in a virtual machine. Needs root, iproute2, ethtool and python3.
#
#   sender -- veth, rx-gro-list on -- router, ipip -- veth, no tunnel offload -- receiver
#
# Exit status: 0 all arrived, 1 some did not (the kernel has the fault), 2 nothing was learned.
set -euo pipefail

sender=gso-sender-$$ router=gso-router-$$ receiver=gso-receiver-$$
undo() { for name in "$sender" "$router" "$receiver"; do ip netns del "$name" || true; done; }
trap undo EXIT
in_sender() { ip netns exec "$sender" "$@"; }
in_router() { ip netns exec "$router" "$@"; }
in_receiver() { ip netns exec "$receiver" "$@"; }

modprobe ipip 2>/dev/null || true
for name in "$sender" "$router" "$receiver"; do
  ip netns add "$name"
  ip -n "$name" link set lo up
  ip netns exec "$name" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.ip_forward=1
done
ip link add c0 mtu 2000 netns "$sender" type veth peer name d0 mtu 2000 netns "$router"
ip link add up0 mtu 2000 netns "$router" type veth peer name dn0 mtu 2000 netns "$receiver"
in_sender ip addr add 198.51.100.1/24 dev c0
in_router ip addr add 198.51.100.2/24 dev d0
in_router ip addr add 203.0.113.1/24 dev up0
in_receiver ip addr add 203.0.113.2/24 dev dn0
in_sender ip link set c0 up
in_router ip link set d0 up
in_router ip link set up0 up
in_receiver ip link set dn0 up
in_router ip link add t0 mtu 1980 type ipip local 203.0.113.1 remote 203.0.113.2 || exit 2
in_receiver ip link add t0 mtu 1980 type ipip local 203.0.113.2 remote 203.0.113.1
in_router ip link set t0 up
in_receiver ip link set t0 up
in_receiver ip addr add 192.0.2.2/32 dev t0
in_sender ip route add 192.0.2.2 via 198.51.100.2
in_router ip route add 192.0.2.2 dev t0
in_receiver ip route add 198.51.100.1 via 203.0.113.1 src 192.0.2.2
# The sender's super-packets are cut, and merged again by the router.
in_sender ethtool -K c0 tx-udp-segmentation off
in_router ethtool -K d0 gro on rx-gro-list on || exit 2
in_router ethtool -K up0 tso off tx-udp-segmentation off

# Sends 24 kB in datagrams of 1200 bytes, so many in one call, and prints how many bytes arrived.
arrived() {
  in_receiver timeout 60 python3 -c '
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker:
    taker.bind(("192.0.2.2", 5001))
    taker.settimeout(10)
    found = 0
    try:
        while found < 24_000:
            found += len(taker.recv(2000))
    except TimeoutError:
        pass
    print(found)' &
  local listening=$!
  sleep 3
  in_sender timeout 60 python3 -c '
import socket, struct, sys
at_once = int(sys.argv[1])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as giver:
    for _ in range(20 // at_once):
        size = [(17, 103, struct.pack("=H", 1200))] if at_once > 1 else []
        giver.sendmsg([bytes(1200 * at_once)], size, 0, ("192.0.2.2", 5001))' "$1" || exit 2
  wait "$listening"
}

alone=$(arrived 1)
[ "$alone" -eq 24000 ] || exit 2
merged=$(arrived 20)
echo "of 24000 bytes in datagrams: merged as a list $merged arrived, one by one $alone"
[ "$merged" -eq 24000 ]
