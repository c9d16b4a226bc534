"""Names and numbers of link types: the kinds of header that frames begin with.

Source: the registry of link types at tcpdump.org (``LINKTYPE_``).
"""

from __future__ import annotations

_NAMES = {
    0: "null",
    1: "ethernet",
    9: "ppp",
    50: "ppp_hdlc",
    51: "ppp_ether",
    101: "raw",
    104: "c_hdlc",
    105: "ieee802_11",
    108: "loop",
    113: "linux_sll",
    127: "ieee802_11_radiotap",
    147: "user0",
    192: "ppi",
    204: "ppp_with_dir",
    228: "ipv4",
    229: "ipv6",
    276: "linux_sll2",
}
# Before the numbers were assigned, capture files had the writing system's own number for raw IP.
_RAW_ALIASES = (12, 14)
_NUMBERS = {name: number for number, name in _NAMES.items()}


def link_name(number: int) -> str:
    """Lower-case name of a ``LINKTYPE_`` number; ``"linktype_N"`` where none is known here."""
    if number in _RAW_ALIASES:
        return "raw"
    return _NAMES.get(number, f"linktype_{number}")


def link_number(link_type: str | int) -> int:
    """The ``LINKTYPE_`` number of a name that `link_name` gives, or of the number itself."""
    if isinstance(link_type, str):
        prefix, _, digits = link_type.partition("_")
        if link_type in _NUMBERS:
            return _NUMBERS[link_type]
        if prefix != "linktype" or not digits.isdecimal():
            known = ", ".join(_NUMBERS)
            raise ValueError(f"unknown link type {link_type!r}: use a LINKTYPE_ number or {known}")
        link_type = int(digits)
    if not 0 <= link_type < 1 << 16:
        raise ValueError(f"link type {link_type} does not fit into 16 bits")
    return link_type
