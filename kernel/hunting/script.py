"""A stack as a shell script: plain commands that show on any host what a hunt has found."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from string import Template

from gso.kernel.guest import espinudp, pppoe, push, relay, sizes
from gso.kernel.guest.bench import (
    MOST_SEGMENTS,
    MSS,
    OWN,
    TRAFFIC,
    WITHOUT,
    with_segmentation,
)
from gso.kernel.guest.counters import RESENT_CHUNKS
from gso.kernel.guest.judge import MANY_RETRANSMITS
from gso.kernel.guest.programs import PROGRAMS
from gso.kernel.guest.stacks import CLIENT, DIRECTOR, SERVICE_PORT, WORKER, Rules, Stack, way
from gso.kernel.guest.traffic import PROTOCOLS

_CARRIED = {
    "espinudp": espinudp,
    "pppoe": pppoe,
    "push": push,
    "relay": relay,
    "sizes": sizes,
}
"""The modules that a script carries for the commands of ``OWN``."""
_DEVICE = "ip -n {machine} link show {1} >/dev/null 2>&1"
_SOCKET = "ip netns exec {machine} ss -Huln sport = :{2} | grep -q ."
_STAYING = {"pppoe": _DEVICE, "relay": _DEVICE, "espinudp": _SOCKET}
"""Those whose device or socket lives as long as they run, and what says that it is there."""

_SCRIPT = Template("""\
#!/usr/bin/env bash
# Shows in network namespaces whether what arrives without segmentation arrives with it:
#   $stack
# Needs root, iproute2, ethtool and python3, and ipvsadm, nft, wg, teamnl or ovs-dpctl where a
# command below begins with it.
#
# Exit status: 0 it does, 1 it does not (the kernel has the fault), 4 this kernel lacks something
# that the stack is made of, or carries nothing through it without segmentation either.
set -uo pipefail
if [ -z "$${OWN:-}" ]; then
  # With mounts and processes of its own nothing is left, however it ends.
  OWN=1 exec unshare --mount --pid --fork --kill-child --mount-proc --propagation private bash "$$0"
fi
mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns || exit 4
cd /run/netns || exit 4
modprobe -aq $modules
on() { ip netns exec "$$@" || { echo "this kernel lacks something: $$*" >&2; exit 4; }; }
# Sets how many segments a packet may be cut into, and offloads.
features() {
  ip -n "$$1" link set "$$2" gso_max_segs "$$3"
  ip netns exec "$$1" ethtool -K "$$2" $${*:4} >/dev/null 2>&1
}
for machine in client director worker; do ip netns add "$$machine" || exit 4; done

$commands

cat >peer.py <<'PYTHON'
$peer
PYTHON
ip netns exec worker python3 peer.py serve &
for _ in {1..100}; do [ -e ready ] && break; sleep 0.1; done
# Packets dropped on their way out; refused by the receiver's devices, and by its sockets.
counted() {
  {
    ip netns exec director cat /sys/class/net/up0/statistics/tx_dropped
    ip netns exec worker sh -c 'cat /sys/class/net/*/statistics/rx_errors'
    ip netns exec worker awk '
      !/^(Tcp|Udp):/ { next }
      !names[$$1] { names[$$1] = $$0; next }
      { n = split(names[$$1], name) }
      { for (i = 2; i <= n; i++) if (name[i] ~ /^In(Csum)?Err/) print $$i }
    ' /proc/net/snmp
    ip netns exec worker awk '/^Udp6In(Csum)?Errors/ { print $$2 }' /proc/net/snmp6
    ip netns exec worker awk '/^SctpChecksumErrors/ { print $$2 }' /proc/net/sctp/snmp 2>/dev/null
  } | awk '{ sum += $$1 } END { print sum }'
}
resent() {
  ip netns exec $sender awk '
    /^Tcp:/ && !at { for (i = 2; i <= NF; i++) if ($$i == "RetransSegs") at = i; next }
    /^Tcp:/ { sum += $$at }
    /^($chunks) / { sum += $$2 }
    END { print sum + 0 }
  ' /proc/net/snmp $$(ls /proc/net/sctp/snmp 2>/dev/null)
}
# Counts what is wrong with one exchange: lost and refused packets, or 1000 where it is not whole.
# Segments that were sent again count where they are $many or more: a busy host has a few.
wrong() {
  local before again
  before=$$(counted) again=$$(resent)
  ip netns exec $sender python3 peer.py send "$$1" || { echo 1000; return; }
  again=$$(($$(resent) - again))
  echo $$(($$(counted) - before + (again < $many ? 0 : again)))
}
$without
control=$$(wrong 1)
$segmented
test=$$(wrong 40)
echo "lost or refused with segmentation: $$test, without: $$control"
[ "$$control" -lt 1000 ] || exit 4
[ "$$test" -le "$$control" ]
""")

_PEER = Template("""\
import hashlib, socket, struct, sys

family = socket.$family
target, source, size, mss = ("$target", $port), "$source", $size, $mss
listens, protocol = ("$listens", $port), $protocol
data = hashlib.shake_128(b"super-packets").digest(size)


def read(connection, length):
    found = b""
    while len(found) < length:
        piece = connection.recv(65536)
        if not piece:
            raise SystemExit("closed early")
        found += piece
    return found


def tcp_serve():
    server = socket.socket(family, socket.SOCK_STREAM, protocol)
    server.bind(listens)
    server.listen()
    open("ready", "w").close()
    while True:
        connection, _ = server.accept()
        with connection:
            connection.settimeout(5)
            try:
                connection.sendall(b"y" if read(connection, size) == data else b"n")
            except OSError:
                pass


def tcp_send(_):
    with socket.socket(family, socket.SOCK_STREAM, protocol) as connection:
        connection.settimeout(5)
        if protocol == $sctp:
            connection.setsockopt($sctp, 13, mss)  # SCTP_MAXSEG
        elif protocol == 0:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
        connection.bind((source, 0))
        connection.connect(target)
        connection.sendall(data)
        return connection.recv(1) == b"y"


def udp_serve():
    server = socket.socket(family, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    server.bind(listens)
    open("ready", "w").close()
    found, last = b"", None
    while True:
        piece, sender = server.recvfrom(65536)
        found, last = piece if sender != last else found + piece, sender
        if len(found) == size:
            server.sendto(b"y" if found == data else b"n", sender)


def udp_send(at_once):
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.settimeout(2)
        connection.bind((source, 0))
        step = mss * at_once
        for at in range(0, size, step):
            some = data[at : at + step]
            option = [(17, 103, struct.pack("=H", mss))] if len(some) > mss else []
            connection.sendmsg([some], option, 0, target)
        return connection.recv(1) == b"y"


if sys.argv[1] == "serve":
    ${traffic}_serve()
try:
    whole = ${traffic}_send(int(sys.argv[2]))
except OSError as error:
    print(error, file=sys.stderr)
    whole = False
sys.exit(0 if whole else 1)""")


def script(stack: Stack, rules: Rules) -> str:
    """Return a script that shows whether this kernel carries super-packets through the stack."""
    there = way(stack, rules)
    traffic = TRAFFIC[stack.traffic]
    peer = _PEER.substitute(
        family="AF_INET6" if stack.inner == 6 else "AF_INET",
        target=there.target,
        listens=there.listens,
        source=there.source,
        port=SERVICE_PORT,
        size=traffic["upload"],
        mss=MSS,
        traffic="udp" if stack.traffic == "udp" else "tcp",
        protocol=PROTOCOLS.get(stack.traffic, 0),
        sctp=PROTOCOLS["sctp"],
    )
    ordered = [
        *there.cables,
        *(
            line
            for machine in (WORKER, DIRECTOR, CLIENT)
            for line in there.lines
            if line[0] == machine
        ),
    ]
    devices = list(_senders(ordered))
    return _SCRIPT.substitute(
        stack=stack,
        modules=" ".join(there.modules) or "veth",
        commands="\n".join(_commands(ordered)),
        peer=peer,
        sender=DIRECTOR if stack.local else CLIENT,
        many=MANY_RETRANSMITS,
        chunks="|".join(RESENT_CHUNKS),
        without="\n".join(
            f"features {where} {device} {MOST_SEGMENTS['without']} {WITHOUT}"
            for where, device in devices
        ),
        segmented="\n".join(
            f"features {where} {device} {MOST_SEGMENTS['with']} {with_segmentation(device, stack)}"
            for where, device in devices
        ),
    )


def _commands(lines: list[tuple[str, str]]) -> Iterator[str]:
    """Yield what a shell reads; first the programs of our own that it needs."""
    used = {command.partition(" ")[0] for _, command in lines} & set(OWN)
    if "push" in used:
        yield f"mkdir -p {PROGRAMS} && mount -t bpf bpf {PROGRAMS} || exit 4"
    for word in sorted(used):
        text = Path(str(_CARRIED[word].__file__)).read_text()
        yield f"cat >{word}.py <<'PYTHON'\n{text}PYTHON"
    for machine, command in lines:
        words = command.split()
        word = words[0]
        if word in _STAYING:
            yield f"on {machine} {shlex.join(['python3', f'{word}.py', *words[1:]])} &"
            there = _STAYING[word].format(*words, machine=machine)
            yield f"for _ in {{1..100}}; do {there} && break; sleep 0.1; done"
            continue
        if word in OWN:
            words = ["python3", f"{word}.py", *words[1:]]
        yield f"on {machine} {shlex.join(words)}"


def _senders(lines: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the devices of client and director, where super-packets are made."""
    yield CLIENT, "c0"
    for machine, command in lines:
        words = command.split()
        if machine != WORKER and command.startswith("ip link add "):
            yield machine, words[5] if words[3] == "link" else words[3]
