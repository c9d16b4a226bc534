"""IPv6 segment routing by a BPF program of a route (`encap bpf in`)."""

from dataclasses import replace

from gso.kernel.scenarios.families import seg6
from gso.kernel.scenarios.model import Command

_PROGRAM = "/run/bpf/p{n}"
# BPF_LWT_ENCAP_SEG6 takes a routing header: next header, length, type 4, segments left, last
# entry, flags, tag, and the one segment.
_PUSH = f"push {_PROGRAM} in 0 0002040000000000{{there_hex}}"

SCENARIOS = [
    replace(
        base,
        name="bpf-seg6-outer6-inner6",
        kind="bpf-seg6",
        reason="the helper has to say that the super-packet is a tunnel now",
        director=(),
        during=(
            *base.during,
            Command("director", _PUSH, f"rm {_PROGRAM}"),
            Command(
                "director",
                f"ip route add {{server}} encap bpf in pinned {_PROGRAM} via {{there}} dev up0",
                "ip route del {server}",
            ),
        ),
    )
    for base in seg6.SCENARIOS
    if base.name == "seg6-outer6-inner6"
]
