"""The kernel's own complaints of a packet, in its log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from gso.diagnosis.kernel_functions import SEGMENT_WORDS
from gso.skb.state import SkbState

__all__ = ["ALWAYS", "COMPLAINTS", "IN_VALIDATION", "Complaint", "complaint_of", "complaint_text"]

_NEAR_TOP = 8
_SUMMED = ("NONE", "UNNECESSARY", "COMPLETE", "PARTIAL")


class Complaint(NamedTuple):
    """The complaint of a function of the kernel."""

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
    "skb_under_panic": Complaint(
        "push-beyond-headroom",
        "skb_push was asked for more bytes than the packet's headroom has, and the kernel crashed",
        "skb_push moves data before head; skb_under_panic says so and crashes the kernel (BUG).",
        "The function in the stack that calls skb_push made no room for its header: skb_cow_head "
        "is missing, or needed_headroom of the device counts too little.",
    ),
    "skb_over_panic": Complaint(
        "put-beyond-tailroom",
        "skb_put was asked for more bytes than the packet's tailroom has, and the kernel crashed",
        "skb_put moves tail behind end; skb_over_panic says so and crashes the kernel (BUG).",
        "The function in the stack that calls skb_put allocated too little, or a length that it "
        "was given is wrong.",
    ),
    "tun_put_user": Complaint(
        "tun-gso-type",
        "a GSO packet whose gso_type has no virtio type was given to a TUN or TAP device",
        "virtio_net_hdr_from_skb returns -EINVAL; tun_put_user prints the packet's first bytes, "
        "and the packet is dropped: read() fails with EINVAL.",
        "gso_size is set, but gso_type is none of TCP and UDP: the packet was merged or was made "
        "by a function that sets only one of them. A number without meaning is memory that "
        "something else wrote to.",
    ),
    "virtio_net_hdr_to_skb": Complaint(
        "virtio-gso",
        "a packet was received with a virtio header that does not fit it",
        "virtio_net_hdr_to_skb returns -EINVAL; the driver drops the packet and counts it in "
        "rx_frame_errors.",
        "The host, or what writes to its TAP device, gave a csum_start, a hdr_len or a gso_size "
        "that this kernel refuses. The type is virtio's: 1 is TCP over IPv4, 3 UDP fragments, 4 "
        "TCP over IPv6, 5 UDP segments, and 128 is added for ECN.",
    ),
    "xenvif_set_skb_gso": Complaint(
        "xen-gso",
        "a Xen guest sent a GSO packet without a size, or of an unknown type",
        "xenvif_set_skb_gso returns -EINVAL, and the packet is dropped.",
        "The guest's driver fills in the extra segment of its request wrongly.",
    ),
    "__udp4_lib_rcv": Complaint(
        "udp-checksum",
        "UDP packets were received with a wrong checksum",
        "__udp4_lib_rcv drops them, and counts them in UdpInCsumErrors.",
        "The sender, or what forwarded them, did not complete the checksum or changed the packet: "
        "segments of a UDP super-packet whose checksum was not prepared look like this.",
    ),
    "dev_queue_xmit_nit": Complaint(
        "network-header-outside",
        "a packet was sent whose network header lies outside of it",
        "dev_queue_xmit_nit says so for packet sockets (tcpdump) only, and the packet goes on with "
        "the wrong offset.",
        "A function pushed or pulled a header without skb_reset_network_header or "
        "skb_set_network_header.",
    ),
}
"""By the function that complains."""
ALWAYS = frozenset(
    {"skb_warn_bad_offload", "netdev_rx_csum_fault", "skb_under_panic", "skb_over_panic"}
)
"""Those that are only called to complain: the others are passed by packets with which all is well.
"""
_WARNING = Complaint(
    "warning-in-segmenter",
    "the kernel warned while it segmented a packet",
    "The segmenter goes on, or returns an error for which the packet is dropped.",
    "The packet's fragments, its frag_list, gso_size or gso_type contradict each other.",
)
_CRASH = Complaint(
    "crash-in-segmenter",
    "the kernel crashed while it segmented a packet",
    "The kernel stops, or ends what ran on that processor.",
    "The packet's fragments, its frag_list, gso_size or gso_type contradict each other: a function "
    "before the segmenter changed one and not the others, as one that pulls merged packets' data.",
)
IN_VALIDATION = Complaint(
    "dropped-in-validation",
    "the packet was dropped in validate_xmit_skb; its gso_size is 0: no segmentation was tried",
    "validate_xmit_skb frees the packet (kfree_skb) where skb_csum_hwoffload_help, a VLAN tag or "
    "IPsec fails.",
    "The device cannot compute the checksum, and skb_checksum_help refuses the packet: csum_start "
    "or csum_offset lies outside its linear data.",
)


def complaint_of(functions: Sequence[str], stack: Sequence[str], said: str) -> Complaint | None:
    """Return what the kernel complains of.

    Args:
        functions: those of the packet's events.
        stack: of the event, innermost first; empty where it is no event of the kernel's log.
        said: the kernel's words, empty where its log has none.
    """
    near = [*functions, *stack[:_NEAR_TOP]]
    for name in near:
        if name in COMPLAINTS and (name in ALWAYS or said or name in stack):
            return COMPLAINTS[name]
    if said and any(word in name for name in near for word in SEGMENT_WORDS):
        return _CRASH if _is_crash(said) else _WARNING
    return None


def _is_crash(said: str) -> bool:
    return not said.startswith(("WARNING", "skb_segment"))


def complaint_text(complaint: Complaint, state: SkbState, function: str, said: str) -> str:
    """Return the message for a packet in this state, of which a function said something."""
    text = complaint.message
    if said:
        where = f" in {function}" if complaint in (_CRASH, _WARNING) else ""
        text = f"{text}{where}: {said}" if not text.startswith(said[:15]) else text
    if state.ip_summed is not None:
        text += f"; ip_summed is {state.ip_summed} (CHECKSUM_{_SUMMED[state.ip_summed & 3]})"
    if state.gso_size and state.len is not None:
        text += f", gso_size {state.gso_size}, len {state.len}"
    if state.ip_summed == 3 and state.csum_start is not None:
        text += f", csum_start {state.csum_start}, csum_offset {state.csum_offset}"
    return text + _shortage(said)


_PANIC = re.compile(
    r"put:(\d+) head:([0-9a-f]+) data:([0-9a-f]+) tail:0x([0-9a-f]+) end:0x([0-9a-f]+)"
)
_LARGEST_HEAD = 1 << 20


def _shortage(said: str) -> str:
    """Say how much room skb_push or skb_put lacked; "" where the kernel hides its pointers."""
    found = _PANIC.search(said)
    if not found:
        return ""
    asked = int(found[1])
    head, data, tail, end = (int(text, 16) for text in found.groups()[1:])
    lacking = head - data if said.startswith("skb_under") else tail - end
    if not 0 < lacking < _LARGEST_HEAD:
        return ""
    return f"; {asked} bytes were asked for, {lacking} more than there was room for"
