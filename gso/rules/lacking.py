"""Which fields a rule lacks: the fewest with which it could be judged.

A rule that no value of the unknown fields would let judge does not apply to the packet, and lacks
nothing. What tells is the judge itself: it is asked about packets in which every rule applies, with
the known fields put in, and then about the same packets with one field less.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import product

import numpy as np
import numpy.typing as npt

from gso.constants import Context, GsoType, Tunnel
from gso.rules._judge import judge_batch
from gso.rules.table import RULES
from gso.skb._skb import FIELDS, SKB_DTYPE, unknown_rows
from gso.skb.state import stored

__all__ = ["lacking"]


def _unknown(name: str) -> int:
    return int(np.iinfo(SKB_DTYPE[name]).min)


# Numbers with which every rule can be judged, whatever is known: inner offsets as far after outer
# ones as there is room. Fields that say what kind of packet it is take each of these values; three
# may also be unknown, as some rules are for packets of which they do not say otherwise.
_VALUES: dict[str, tuple[int, ...]] = {
    "mac_header": (1,),
    "network_header": (1,),
    "transport_header": (1, _unknown("transport_header")),
    "inner_mac_header": (0xFFFE,),
    "inner_network_header": (0xFFFE,),
    "inner_transport_header": (0xFFFE,),
    "len": (3000,),
    "data_len": (1,),
    "payload": (2900,),
    "gso_size": (1448, 0, 0xFFFF, _unknown("gso_size")),
    "gso_type": (
        int(GsoType.UDP_L4 | GsoType.DODGY | GsoType.UDP_TUNNEL),
        int(GsoType.UDP_L4 | GsoType.DODGY),
        int(GsoType.TCPV4 | GsoType.GRE | GsoType.FRAGLIST),
    ),
    "encapsulation": (0, 1, _unknown("encapsulation")),
    "tunnel": (int(Tunnel.NONE), int(Tunnel.GUE), int(Tunnel.IPIP)),
    "inner_protocol_type": (0, 1),
    "inner_protocol": (0x0800,),
    "inner_ipproto": (4,),
    "protocol": (0x0800, 0x8847),
    "ip_summed": (3,),
    "frag_list": (1,),
    "csum_start": (0xFFFE,),
    "csum_offset": (6,),
    "ihl": (5,),
    "doff": (5,),
    "l4": (17, 6),
    "headroom": (1,),
    "mtu": (1500,),
    "context": (int(Context.TRANSMIT | Context.CHECKSUM_HELP),),
    "gre_flags": (0,),
}
# Of fields that stand for each other, those that logs have less often are done without.
_RARE_FIRST = (
    *(
        "gre_flags",
        "frag_list",
        "tunnel",
        "l4",
        "context",
        "mtu",
        "headroom",
        "tnl_hlen",
        "ihl",
        "doff",
        "inner_ipproto",
        "inner_protocol",
        "protocol",
    ),
    *("mac_header", "len", "payload", "gso_type", "inner_protocol_type", "encapsulation"),
    *("inner_transport_header", "inner_mac_header", "network_header", "inner_network_header"),
    *("transport_header", "gso_size", "csum_start", "csum_offset", "ip_summed", "data_len"),
)


@cache
def _applying() -> npt.NDArray[np.void]:
    combinations = list(product(*_VALUES.values()))
    rows = unknown_rows(len(combinations))
    for row, values in zip(rows, combinations, strict=True):
        for name, value in zip(_VALUES, values, strict=True):
            row[name] = value
    return rows


def lacking(judged: int, known: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """For each rule that was not judged and may apply, the unknown fields it lacks.

    Args:
        judged: the bits of the rules that were judged.
        known: the fields that are known, by name.
    """
    rules = [rule for rule in RULES.values() if not judged >> rule.bit & 1]
    probes = _applying().copy()
    for name, value in known.items():
        probes[name] = stored(name, value)
    bits = np.array([1 << rule.bit for rule in rules], np.uint64)
    applies = (judge_batch(probes)[1][:, None] & bits) != 0
    rules = [rule for rule, any_ in zip(rules, applies.any(axis=0).tolist(), strict=True) if any_]
    bits, rows = bits[applies.any(axis=0)], probes[applies.argmax(axis=0)[applies.any(axis=0)]]
    needed: dict[str, set[str]] = {rule.rule: set() for rule in rules}
    for name in _RARE_FIRST:
        if name not in known:
            column = rows[name].copy()
            rows[name] = _unknown(name)
            lost = (judge_batch(rows)[1] & bits) == 0
            rows[name][lost] = column[lost]
            for place in np.flatnonzero(lost).tolist():
                needed[rules[place].rule].add(name)
    return {rule.rule: _in_order(needed[rule.rule], rule.fields) for rule in rules}


def _in_order(names: set[str], first: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names, key=(*first, *FIELDS).index))
