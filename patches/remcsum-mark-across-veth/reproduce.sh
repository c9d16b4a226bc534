#!/usr/bin/env bash
# Shows on any Linux host, in network namespaces of its own, that segments with remote checksum offload
# are refused behind a veth. Needs root, iproute2, ethtool and python3.
#
#   sender, vxlan0 (remcsumtx) -- veth -- vxlan0 (remcsumrx), receiver
#
# Exit status: 0 no segment was refused, 1 some were (the kernel has the fault), 2 nothing was learned.
set -euo pipefail

sender=gso-sender-$$ receiver=gso-receiver-$$
undo() { ip netns del "$sender" || true; ip netns del "$receiver" || true; }
trap undo EXIT
in_sender() { ip netns exec "$sender" "$@"; }
in_receiver() { ip netns exec "$receiver" "$@"; }

modprobe -a vxlan 2>/dev/null || true
ip netns add "$sender"
ip netns add "$receiver"
ip link add wire mtu 1600 netns "$sender" type veth peer name wire mtu 1600 netns "$receiver"
in_sender ip addr add 203.0.113.1/24 dev wire
in_receiver ip addr add 203.0.113.2/24 dev wire
in_sender ip link set wire up
in_receiver ip link set wire up

in_sender ip link add vxlan0 type vxlan id 1 dstport 4789 local 203.0.113.1 remote 203.0.113.2 \
  noudpcsum remcsumtx || exit 2
in_receiver ip link add vxlan0 type vxlan id 1 dstport 4789 local 203.0.113.2 \
  remote 203.0.113.1 noudpcsum remcsumrx || exit 2
in_sender ip addr add 192.0.2.1/24 dev vxlan0
in_receiver ip addr add 192.0.2.2/24 dev vxlan0
in_sender ip link set vxlan0 mtu 1400 up
in_receiver ip link set vxlan0 mtu 1400 up

refused() {
  in_receiver awk '/^Tcp:/ && seen { print $NF } /^Tcp:/ { seen = 1 }' /proc/net/snmp
}

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

before=$(refused); send; with_offload=$(($(refused) - before))
in_sender ethtool -K vxlan0 gso off tso off
before=$(refused); send; without=$(($(refused) - before))
echo "100000 bytes in super-packets: $with_offload segments refused; without segmentation: $without"
[ "$with_offload" -eq 0 ]
