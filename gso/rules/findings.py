"""Violated rules, and what is said about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from gso.constants import GsoType
from gso.html import html_table
from gso.printable import plural
from gso.rules.doubts import is_tunnel_doubtful
from gso.rules.table import TNL_HLEN_PARTS, Rule, Severity
from gso.skb.state import OFFSETS, UNSET

__all__ = ["Finding", "Findings", "finding"]


@dataclass(frozen=True, repr=False)
class Finding:
    """A violated rule.

    Attributes:
        rule: the rule's identifier.
        severity: how bad it is.
        message: the comparison, with the numbers.
        fields: the values that were compared, by name.
        kernel_outcome: what the kernel does about it.
        likely_cause: what is usually wrong, and the remedy.
    """

    rule: str
    severity: Severity
    message: str
    fields: Mapping[str, int]
    kernel_outcome: str
    likely_cause: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"

    def __repr__(self) -> str:
        return f"<gso.Finding: {self}>"

    def _repr_html_(self) -> str:
        """For notebooks: all that is known."""
        rows = [
            ("rule", f"{self.rule} ({self.severity.name.lower()})"),
            ("found", self.message),
            ("kernel", self.kernel_outcome),
            ("cause", self.likely_cause),
        ]
        return html_table("gso.Finding", ("", ""), rows, 0)


class Findings(list[Finding]):
    """The findings, in the order of the table of rules.

    Attributes:
        judged: identifiers of the rules that could be judged.
    """

    def __init__(
        self,
        found: Iterable[Finding] = (),
        judged: Iterable[str] = (),
        lacking: Callable[[], dict[str, tuple[str, ...]]] = dict,
    ) -> None:
        super().__init__(found)
        self.judged = tuple(judged)
        self._lacking = lacking

    @cached_property
    def not_judged(self) -> dict[str, tuple[str, ...]]:
        """The fewest fields that are lacking, for each rule that could be judged with them.

        A rule that is in neither `judged` nor here does not apply to the packet.
        """
        return self._lacking()

    def _repr_html_(self) -> str:
        """For notebooks: a row each, and how many rules were judged."""
        title = f"{plural(len(self), 'finding')}, {plural(len(self.judged), 'rule')} judged"
        rows = ((one.rule, one.severity.name.lower(), one.message) for one in self)
        return html_table(title, ("rule", "severity", "found"), rows, len(self))


def finding(rule: Rule, known: Mapping[str, int], *, tunnelled: bool = False) -> Finding:
    """The finding for a packet that has these fields and violates the rule.

    Args:
        rule: the rule.
        known: the fields that are known, by name.
        tunnelled: whether more than the fields shows that it has a tunnel's header.
    """
    names = list(dict.fromkeys((*_RELEVANT.get(rule.rule, ()), *rule.fields)))
    values = {name: known[name] for name in names if name in known}
    message, outcome, cause = _message(rule, values, known), rule.kernel_outcome, rule.likely_cause
    if not tunnelled and is_tunnel_doubtful(rule.rule, known):
        message += _DOUBT
        outcome, cause = f"{_IF_SO}{outcome}", f"{_IF_SO}{cause}"
    return Finding(rule.rule, rule.severity, message, values, outcome, cause)


_DOUBT = (
    "; that is so if the 8 bytes at transport_header are a tunnel's header (FOU, or GRE with a "
    "checksum or a key), and not one of IPv6's extension headers or IPsec's: offsets alone do not "
    "tell, gso_type or the packet's bytes would"
)
_IF_SO = "If it is a tunnel's header: "


_RELEVANT = {
    **dict.fromkeys(
        ("tunnel-header-negative", "tunnel-header-short", "tunnel-header-wrong"),
        ("tnl_hlen", *TNL_HLEN_PARTS, "inner_network_header"),
    ),
    "tunnel-header-long": ("tnl_hlen", *TNL_HLEN_PARTS),
    "inner-header-unset": ("inner_mac_header", "inner_network_header", "inner_transport_header"),
    "inner-header-order": ("network_header", *OFFSETS[3:]),
    "outer-header-order": ("mac_header", "network_header", "transport_header"),
    "csum-start": ("csum_start", "transport_header", "inner_transport_header"),
    "gso-type-protocol": ("l4", "protocol"),
    "inner-mac-length": ("inner_protocol_type", "inner_protocol"),
    "payload-not-larger": ("len", "payload", "gso_size", "gso_type"),
    "dodgy-csum-start": ("csum_start", "network_header"),
    "frag-list": ("frag_list", "payload"),
    "gre-sequence": TNL_HLEN_PARTS,
}


def _message(rule: Rule, values: Mapping[str, int], known: Mapping[str, int]) -> str:
    name = rule.rule
    if name.startswith("tunnel-header") and known.keys() >= set(TNL_HLEN_PARTS):
        inner, outer = known["inner_mac_header"], known["transport_header"]
        text = f"tnl_hlen is {inner - outer}: inner_mac_header {inner} - transport_header {outer}"
        if name == "tunnel-header-long":
            return f"{text}, but the packet has {known['len']} bytes"
        network = known.get("inner_network_header", 0)
        if network > outer:
            return f"{text}; up to inner_network_header {network} it would be {network - outer}"
        return text
    if name == "inner-mac-length":
        inner, network = known["inner_mac_header"], known["inner_network_header"]
        return (
            f"the inner MAC header is {network - inner} bytes long: "
            f"inner_network_header {network} - inner_mac_header {inner}"
        )
    shown = ", ".join(f"{key} {_shown(key, value)}" for key, value in values.items())
    return f"{shown}; it should be: {rule.compares}"


def _shown(name: str, value: int) -> str:
    if name == "gso_type":
        return f"0x{value:x} ({GsoType(value).name or 'none'})"
    if name in OFFSETS and value == UNSET:
        return "0xffff (unset)"
    if name.endswith("protocol") or name == "gre_flags":
        return f"0x{value:04x}"
    return str(value)
