#!/usr/bin/env bash
# Shows on any Linux host, in network namespaces of its own, that super-packets are dropped where a BPF
# program pushes an IPv6 segment routing header (BPF_LWT_ENCAP_SEG6). Needs root, iproute2, ethtool and
# python3, and x86-64 for the number of the system call bpf.
#
#   sender -- near -- router, route with encap bpf in -- far (veth, tso off) -- receiver
#
# Exit status: 0 no packet was dropped, 1 some were (the kernel has the fault), 4 this kernel lacks
# something, or carries nothing without segmentation either.
set -euo pipefail

if [ -z "${OWN:-}" ]; then
  # With mounts of its own nothing is left of the file system where the program is pinned.
  OWN=1 exec unshare --mount --propagation private bash "$0"
fi
sender=gso-sender-$$ router=gso-router-$$ receiver=gso-receiver-$$ programs=$(mktemp -d)
undo() {
  for each in "$sender" "$router" "$receiver"; do ip netns del "$each" || true; done
  umount "$programs" && rmdir "$programs"
}
trap undo EXIT
mount -t bpf bpf "$programs" || exit 4
in_sender() { ip netns exec "$sender" "$@" || exit 4; }
in_router() { ip netns exec "$router" "$@" || exit 4; }
in_receiver() { ip netns exec "$receiver" "$@" || exit 4; }

for each in "$sender" "$router" "$receiver"; do ip netns add "$each"; done
ip link add near mtu 1500 netns "$sender" type veth peer name near mtu 1500 netns "$router"
ip link add far mtu 2000 netns "$router" type veth peer name far mtu 2000 netns "$receiver"
in_sender ip addr add 2001:db8:1::1/64 dev near nodad
in_router ip addr add 2001:db8:1::2/64 dev near nodad
in_router ip addr add 2001:db8:2::1/64 dev far nodad
in_receiver ip addr add 2001:db8:2::2/64 dev far nodad
in_receiver ip addr add 2001:db8:f::2/128 dev lo nodad
for device in lo far; do in_receiver ip link set $device up; done
in_sender ip link set near up
in_router ip link set near up
in_router ip link set far up
in_router sysctl -qw net.ipv6.conf.all.forwarding=1
in_receiver sysctl -qw net.ipv6.conf.all.seg6_enabled=1 net.ipv6.conf.far.seg6_enabled=1
in_sender ip -6 route add 2001:db8:f::/64 via 2001:db8:1::2
in_receiver ip -6 route add 2001:db8:1::/64 via 2001:db8:2::1
in_router ethtool -K far tso off

# The program puts a routing header with one segment, 2001:db8:2::2, onto the stack; the helper
# bpf_lwt_push_encap (73) with it, in the mode BPF_LWT_ENCAP_SEG6 (0); drop (2) where it refuses.
python3 - "$programs/push" <<'PYTHON' || exit 4
import ctypes, ipaddress, os, struct, sys

header = bytes.fromhex("0002040000000000") + ipaddress.ip_address("2001:db8:2::2").packed
code = b"".join(
    struct.pack("<BBhi", *instruction)
    for instruction in [
        *((0x62, 10, 4 * at - 24, word) for at, word in enumerate(struct.unpack("<6i", header))),
        *((0xB7, 2, 0, 0), (0xBF, 0xA3, 0, 0), (0x07, 3, 0, -24), (0xB7, 4, 0, 24)),
        *((0x85, 0, 0, 73), (0xC5, 0, 2, 0), (0xB7, 0, 0, 0), (0x95, 0, 0, 0)),
        *((0xB7, 0, 0, 2), (0x95, 0, 0, 0)),
    ]
)
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, fields):
    buffer = ctypes.create_string_buffer(fields.ljust(128, b"\0"), 128)
    found = libc.syscall(321, command, ctypes.byref(buffer), 128)
    if found < 0:
        sys.exit(f"bpf: {os.strerror(ctypes.get_errno())}")
    return found


program, gpl = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b"GPL")
addresses = ctypes.addressof(program), ctypes.addressof(gpl)
loaded = bpf(5, struct.pack("=IIQQ", 10, len(code) // 8, *addresses))  # BPF_PROG_TYPE_LWT_IN
path = ctypes.create_string_buffer(sys.argv[1].encode())
bpf(6, struct.pack("=QI", ctypes.addressof(path), loaded))
PYTHON
in_router ip -6 route add 2001:db8:f::2/128 encap bpf in pinned "$programs/push" \
  via 2001:db8:2::2 dev far

dropped() { in_router cat /sys/class/net/far/statistics/tx_dropped; }

# Sends to the receiver, and says how many packets the router dropped on their way out.
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

in_sender ethtool -K near tso off gso off
in_router ethtool -K near gro off
without=$(send) || exit 4
in_sender ethtool -K near tso on gso on
with_offload=$(send)
echo "100000 bytes in super-packets: $with_offload packets dropped; without segmentation: $without"
[ "$with_offload" -le "$without" ]
