"""Which function left a packet's offsets wrong, and which call is missing in it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

from gso.constants import GsoType
from gso.diagnosis._history import Tally
from gso.diagnosis.cases import Case
from gso.diagnosis.complaints import IN_VALIDATION, complaint_text
from gso.diagnosis.follower import Packet
from gso.diagnosis.kernel_functions import ENCAPSULATORS, IP_IN_IP, SEGMENT_WORDS
from gso.diagnosis.reasons import reason_name
from gso.diagnosis.told import TOLD, Told
from gso.rules import RULES, Severity, finding, is_tunnel_doubtful, validate
from gso.skb.state import SkbState

__all__ = ["SET_INNER_MAC", "example_worth", "find_encapsulator", "make_case"]

SET_INNER_MAC = "skb_set_inner_mac_header(skb, skb_inner_network_offset(skb))"
_MAC_RULES = ("tunnel-header-negative", "tunnel-header-short", "tunnel-header-wrong")
_OF_TUNNELS = frozenset({"tunnel-header-negative", "inner-header-unset"})
_NOT_FOUND: tuple[str, str] = ("", "")


def find_encapsulator(packet: Packet) -> tuple[str, str]:
    """Return (function that encapsulated the packet, how that is known), empty if unknown."""
    if packet.encapsulators:
        return next(iter(packet.encapsulators)), "it is in the stack"
    return _passed_encapsulator(
        tuple(packet.functions), packet.stack_text, v6=packet.outer_length == 40
    )


@lru_cache(maxsize=1 << 12)
def _passed_encapsulator(functions: tuple[str, ...], stack: str, *, v6: bool) -> tuple[str, str]:
    seen = [name for name in functions if name in ENCAPSULATORS]
    if seen:
        return seen[-1], "the packet passed it"
    if any(name.startswith("ip_vs_") for name in (*functions, *stack.split("\n"))):
        name = "ip_vs_tunnel_xmit_v6" if v6 else "ip_vs_tunnel_xmit"
        return name, "the packet became a tunnel packet in IPVS, where only this function does that"
    return _NOT_FOUND


def make_case(tally: Tally, kernel: str = "") -> Case:
    """Return the case of the packets that were counted together; see `reason_name` for `kernel`."""
    packet: Packet = tally.example
    bad = packet.bad or packet.events[-1]
    growth = _growth(packet)
    reason = reason_name(packet.reason, kernel)
    shown = packet.reason if packet.reason.endswith(f"_{reason}") else reason
    drop = (packet.drop.function, shown, packet.drop_function) if packet.drop else None
    times = tally.times or (None, None)
    common: dict[str, Any] = {
        "rules": tally.rules,
        "function": tally.function,
        "evidence": find_encapsulator(packet)[1],
        "events": packet.events,
        "example": bad,
        "growth": growth,
        "results": packet.results,
        "drop": drop,
        "stack": packet.stack,
        "packets": tally.packets,
        "dropped": tally.dropped,
        "first_time": times[0],
        "last_time": times[1],
        "flows": tally.flows,
        "devices": tally.devices,
        "worth": (example_worth(packet), packet.first_line),
    }
    if packet.bad is None or tally.rules[0] not in RULES:
        told = TOLD.get(reason)
        meant = told if told and tally.rules == (told.rule,) else None
        return Case(**common, **_dropped_only(packet, growth, meant))
    rule = RULES[tally.rules[0]]
    known = bad.state.known
    tunnelled = tally.function in ENCAPSULATORS and tally.function not in IP_IN_IP
    first = finding(rule, known, tunnelled=tunnelled)
    is_doubtful = not tunnelled and is_tunnel_doubtful(rule.rule, known)
    expected = _expected(tally.rules, bad.state)
    return Case(
        **common,
        severity=rule.severity,
        message=first.message,
        kernel_outcome=first.kernel_outcome,
        likely_cause=first.likely_cause,
        fields=dict(first.fields),
        commits=rule.commits,
        missing_call=SET_INNER_MAC if expected and not is_doubtful else "",
        expected=expected,
    )


def _dropped_only(packet: Packet, growth: int | None, told: Told | None) -> dict[str, Any]:
    if told:
        return _told(packet, growth, told)
    complaint = IN_VALIDATION if packet.in_validation else packet.complaint
    if complaint:
        shown = next((e for e in reversed(packet.events) if e.state.known), packet.events[-1])
        return {
            "severity": Severity.ERROR,
            "message": complaint_text(complaint, shown.state, shown.function, packet.said),
            "kernel_outcome": complaint.kernel_outcome,
            "likely_cause": complaint.likely_cause,
            "fields": {},
            "commits": (),
            "missing_call": "",
            "expected": {},
        }
    segmenter = next(
        (name for name in reversed(packet.functions) if any(w in name for w in SEGMENT_WORDS)), ""
    )
    message = "the packet was dropped where it was to be segmented"
    if segmenter:
        message += f", after {segmenter}"
    has_offsets = any(
        event.state.inner_mac_header is not None or event.state.network_header is not None
        for event in packet.events
    )
    is_doubtful = has_offsets and _is_doubtful(packet)
    if is_doubtful:
        message += (
            "; whether its offsets are right cannot be judged, as the header behind the outer IP "
            "header may be a tunnel's or another: the log shows neither gso_type nor its bytes"
        )
    elif has_offsets:
        message += "; its offsets are right; look at gso_type, len"
        kind, length = packet.last_known("gso_type"), packet.last_known("len")
        if kind is not None:
            message += f": gso_type 0x{kind:x} ({GsoType(kind).name or 'none'}), len {length}"
    else:
        message += "; the log does not show its header offsets"
    if growth:
        message += f"; it had grown by {growth} bytes ({_name_growth(growth)})"
    return {
        "severity": Severity.ERROR,
        "message": message,
        "kernel_outcome": "skb_gso_segment returned an error; validate_xmit_skb freed the packet "
        "(kfree_skb, reason NOT_SPECIFIED) and the device counts it in tx_dropped.",
        "likely_cause": "A gso_type that no segmenter takes, or a length that does not fit."
        if has_offsets and not is_doubtful
        else "Wrong header offsets or a wrong gso_type. Record "
        f"{'gso_type' if is_doubtful else 'the offsets'} to know which.",
        "fields": {},
        "commits": (),
        "missing_call": "",
        "expected": {},
    }


def _is_doubtful(packet: Packet) -> bool:
    """Whether gso_type would have to tell if the packet has a tunnel's header, and is not known."""
    placed = [event for event in packet.events if event.state.inner_mac_header is not None]
    if not placed or placed[-1].state.gso_type is not None:
        return False
    state = placed[-1].state
    as_tunnel = validate(replace(state, gso_type=int(GsoType.UDP_TUNNEL))).judged
    return bool(_OF_TUNNELS.intersection(as_tunnel).difference(validate(state).judged))


def _told(packet: Packet, growth: int | None, told: Told) -> dict[str, Any]:
    """Return what a case says of packets whose drop reason says what is wrong."""
    message = told.message
    length, mtu = packet.last_known("len"), packet.last_known("mtu")
    if told.rule == "packet-too-big" and length is not None:
        message += f": len {length}"
        if growth:
            message += f"; it had grown by {growth} bytes ({_name_growth(growth)})"
        # Before a packet is routed its device is the one that it came from.
        if mtu and length > mtu:
            message += f"; the device's MTU is {mtu}"
            message += f": inside the tunnel an MTU of {mtu - growth} would do" if growth else ""
    return {
        "severity": told.severity,
        "message": message,
        "kernel_outcome": told.kernel_outcome,
        "likely_cause": told.likely_cause,
        "fields": {},
        "commits": (),
        "missing_call": "",
        "expected": {},
    }


def _growth(packet: Packet) -> int | None:
    """Return by how many bytes the packet grew when it was encapsulated, None if unknown.

    That is where it first violates a rule, or else where its flow changes.
    """
    if packet.bad is not None and packet.before is not None:
        before, after = packet.before.state.len, packet.bad.state.len
        return None if before is None or after is None else after - before
    events = [event for event in packet.events if event.state.len is not None]
    for earlier, later in pairwise(events):
        change = (later.state.len or 0) - (earlier.state.len or 0)
        if earlier.flow != later.flow and change > 0:
            return change
    return None


_TUNNEL_SIZES = {
    4: "GRE",
    8: "FOU, or GRE with a checksum or a key, or a header of IPv6 or IPsec",
    12: "GUE, or GRE with two of checksum, key and sequence number",
    16: "VXLAN, Geneve, or GRE with all its fields, or a header of IPv6 or IPsec",
    20: "GUE with remcsum",
}
"""What may have grown a packet by that many bytes, beside an outer IP header."""


def _name_growth(growth: int) -> str:
    for outer, name in ((20, "IPv4"), (40, "IPv6")):
        if growth - outer in _TUNNEL_SIZES:
            return f"{name} {outer} and {growth - outer}: {_TUNNEL_SIZES[growth - outer]}"
    return "more than an outer header"


def _expected(rules: tuple[str, ...], state: SkbState) -> dict[str, int]:
    """Return where inner_mac_header should be, and the tnl_hlen of that, if it is what is wrong."""
    network = state.inner_network_header
    if network is None or not set(rules) & {*_MAC_RULES, "inner-mac-length", "inner-header-unset"}:
        return {}
    if state.inner_protocol_type == 0 and state.inner_protocol == 0x6558:
        return {}
    if network in (0, 0xFFFF) or state.inner_mac_header in (None, network):
        return {}
    expected = {"inner_mac_header": network}
    if state.transport_header is not None:
        expected["tnl_hlen"] = network - state.transport_header
    return expected


def example_worth(packet: Packet) -> int:
    """Rank a packet as an example: the smaller, the better."""
    return 0 if packet.in_segmentation else 1 if packet.dropped else 2
