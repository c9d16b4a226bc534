"""The kernel's own complaints of a packet, in its log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gso.skb.state import SkbState

__all__ = ["COMPLAINTS", "IN_VALIDATION", "Complaint", "complaint_of", "complaint_text"]

_NEAR_TOP = 8
_SUMMED = ("NONE", "UNNECESSARY", "COMPLETE", "PARTIAL")


class Complaint(NamedTuple):
    """What a function of the kernel complains of."""

    rule: str
    message: str
    kernel_outcome: str
    likely_cause: str


COMPLAINTS = {
    "skb_warn_bad_offload": Complaint(
        "bad-offload",
        "skb_warn_bad_offload: a GSO packet is transmitted and its checksum is not prepared",
        "__skb_gso_segment warns, and computes the checksum itself if it can; other segments are "
        "sent with a wrong checksum, or dropped.",
        "A packet that GRO merged, or that was forwarded, keeps ip_summed NONE or COMPLETE; or the "
        "features that the device offers do not go together. ip_summed must be CHECKSUM_PARTIAL.",
    ),
    "netdev_rx_csum_fault": Complaint(
        "receive-checksum",
        "hw csum failure: the receive checksum that the hardware gave is wrong",
        "__skb_checksum_complete computes the checksum again: a packet whose own checksum is right "
        "is delivered, and the kernel warns of the device.",
        "The driver's CHECKSUM_COMPLETE covers other bytes than the packet's, or a header was "
        "pulled or changed without skb_postpull_rcsum.",
    ),
    "skb_checksum_help": Complaint(
        "checksum-outside",
        "skb_checksum_help: the checksum's start or place lies outside the linear data",
        "skb_checksum_help returns -EINVAL; validate_xmit_skb frees the packet.",
        "csum_start was not set, or it was not moved with the headers.",
    ),
}
"""By the function that complains."""
IN_VALIDATION = Complaint(
    "dropped-in-validation",
    "the packet was dropped in validate_xmit_skb; its gso_size is 0: no segmentation was tried",
    "validate_xmit_skb frees the packet (kfree_skb) where skb_csum_hwoffload_help, a VLAN tag or "
    "IPsec fails.",
    "The device cannot compute the checksum, and skb_checksum_help refuses the packet: csum_start "
    "or csum_offset lies outside its linear data.",
)


def complaint_of(function: str, stack: Iterable[str]) -> Complaint | None:
    """Return the complaint of which an event's function, or the top of its stack, is part."""
    for name in (function, *list(stack)[:_NEAR_TOP]):
        if name in COMPLAINTS:
            return COMPLAINTS[name]
    return None


def complaint_text(complaint: Complaint, state: SkbState) -> str:
    """Return the message for a packet in this state."""
    text = complaint.message
    if state.ip_summed is not None:
        text += f"; ip_summed is {state.ip_summed} (CHECKSUM_{_SUMMED[state.ip_summed & 3]})"
    if state.gso_size:
        text += f", gso_size {state.gso_size}, len {state.len}"
    if state.ip_summed == 3 and state.csum_start is not None:
        text += f", csum_start {state.csum_start}, csum_offset {state.csum_offset}"
    return text
