#!/usr/bin/env bash
# Shows in network namespaces of its own that super-packets of SCTP do not survive the end of an SRv6 tunnel.
# THE MACHINE MAY DIE OF IT: run it in a virtual machine. Needs root, iproute2, ethtool and python3.
#
#   sender, route "encap seg6" -- veth -- router, where SRv6 ends -- veth, no offload of SCTP -- receiver
#
# Exit status: 0 all arrived, 1 it did not (the kernel has the fault), 2 nothing was learned.
set -euo pipefail

sender=gso-sender-$$ router=gso-router-$$ receiver=gso-receiver-$$
undo() { for name in "$sender" "$router" "$receiver"; do ip netns del "$name" || true; done; }
trap undo EXIT
in_sender() { ip netns exec "$sender" "$@"; }
in_router() { ip netns exec "$router" "$@"; }
in_receiver() { ip netns exec "$receiver" "$@"; }

modprobe -q sctp || [ -d /proc/sys/net/sctp ] || exit 2  # it may be built in
for name in "$sender" "$router" "$receiver"; do
  ip netns add "$name"
  ip -n "$name" link set lo up
  ip netns exec "$name" sysctl -qw net.ipv6.conf.all.forwarding=1
done
ip link add c0 mtu 2000 netns "$sender" type veth peer name d0 mtu 2000 netns "$router"
ip link add up0 mtu 2000 netns "$router" type veth peer name dn0 mtu 2000 netns "$receiver"
in_sender ip addr add 2001:db8:1::1/64 dev c0 nodad
in_router ip addr add 2001:db8:1::2/64 dev d0 nodad
in_router ip addr add 2001:db8:2::1/64 dev up0 nodad
in_receiver ip addr add 2001:db8:2::2/64 dev dn0 nodad
in_sender ip link set c0 up
in_router ip link set d0 up
in_router ip link set up0 up
in_receiver ip link set dn0 up
in_router sysctl -qw net.ipv6.conf.all.seg6_enabled=1 net.ipv6.conf.d0.seg6_enabled=1 || exit 2
in_sender ip route add 2001:db8:2::2 encap seg6 mode encap segs 2001:db8:1::2 dev c0 || exit 2
in_receiver ip route add 2001:db8:1::1 via 2001:db8:2::1
in_router ethtool -K up0 tx-sctp-segmentation off

# Sends 60 kB, and prints how many bytes arrived.
arrived() {
  in_receiver timeout 60 python3 -c '
import socket
with socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 132) as server:
    server.bind(("2001:db8:2::2", 5001))
    server.listen()
    connection, _ = server.accept()
    connection.settimeout(20)
    found = 0
    try:
        while piece := connection.recv(65536):
            found += len(piece)
    except OSError:
        pass
    print(found)' &
  local listening=$!
  sleep 3
  in_sender timeout 60 python3 -c '
import socket
with socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 132) as connection:
    connection.settimeout(20)
    connection.setsockopt(132, 13, 1200)  # SCTP_MAXSEG
    connection.bind(("2001:db8:1::1", 0))
    connection.connect(("2001:db8:2::2", 5001))
    connection.sendall(bytes(60_000))' || true
  wait "$listening"
}

in_sender ip link set c0 gso_max_segs 1
in_sender ethtool -K c0 gso off
small=$(arrived)
[ "$small" -eq 60000 ] || exit 2
in_sender ip link set c0 gso_max_segs 65535
in_sender ethtool -K c0 gso on
large=$(arrived)
echo "of 60000 bytes by SCTP: $large arrived in super-packets, $small without"
[ "$large" -eq 60000 ]
