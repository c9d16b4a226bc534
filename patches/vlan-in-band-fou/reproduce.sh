#!/usr/bin/env bash
# Shows on any Linux host, in network namespaces of its own, that FOU drops super-packets of IPv6 where
# the frame has a VLAN tag and bytes 8 and 9 of the inner source are zero. Needs root, iproute2, ethtool
# and python3.
#
#   sender, sit with FOU, VLAN device -- wire (veth, tso and txvlan off) -- VLAN device, FOU, sit, receiver
#
# Exit status: 0 no packet was dropped, 1 some were (the kernel has the fault), 4 this kernel lacks
# something, or carries nothing without segmentation either.
set -euo pipefail

sender=gso-sender-$$ receiver=gso-receiver-$$
undo() { ip netns del "$sender" || true; ip netns del "$receiver" || true; }
trap undo EXIT
in_sender() { ip netns exec "$sender" "$@" || exit 4; }
in_receiver() { ip netns exec "$receiver" "$@" || exit 4; }

modprobe -aq fou sit 8021q || true
ip netns add "$sender"
ip netns add "$receiver"
ip link add wire mtu 2000 netns "$sender" type veth peer name wire mtu 2000 netns "$receiver"
in_sender ethtool -K wire tso off txvlan off

for where in sender receiver; do
  if [ $where = sender ]; then mine=1 other=2; else mine=2 other=1; fi
  "in_$where" ip link set wire up
  "in_$where" ip link add link wire name tagged mtu 1900 type vlan id 7
  "in_$where" ip addr add "203.0.113.$mine/24" dev tagged
  "in_$where" ip link set tagged up
  "in_$where" ip fou add port 5555 ipproto 41
  "in_$where" ip link add sit1 mtu 1500 type sit local "203.0.113.$mine" \
    remote "203.0.113.$other" encap fou encap-sport 5555 encap-dport 5555
  "in_$where" ip link set sit1 up
  # 2001:db8::1 has zero in bytes 8 and 9, and 2001:db8:1:1:1::1 has not.
  "in_$where" ip addr add "2001:db8::$mine/64" dev sit1 nodad
  "in_$where" ip addr add "2001:db8:1:1:1::$mine/64" dev sit1 nodad
done

dropped() { in_sender cat /sys/class/net/wire/statistics/tx_dropped; }

# Sends to an address of the receiver, and says how many packets were dropped on their way out.
send() {
  local before
  before=$(dropped)
  in_receiver timeout 60 python3 -c '
import socket, sys
with socket.create_server((sys.argv[1], 5001), family=socket.AF_INET6) as server:
    connection, _ = server.accept()
    while connection.recv(65536):
        pass' "$1" &
  sleep 1
  in_sender timeout 60 python3 -c '
import socket, sys
with socket.create_connection((sys.argv[1], 5001), 20) as connection:
    connection.sendall(bytes(100_000))' "$1"
  wait $!
  echo $(($(dropped) - before))
}

other_source=$(send 2001:db8:1:1:1::2) || exit 4
with_zero=$(send 2001:db8::2)
echo "100000 bytes from a source with zero in bytes 8 and 9: $with_zero packets dropped;" \
  "from another: $other_source"
[ "$with_zero" -le "$other_source" ]
