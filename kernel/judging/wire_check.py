"""Explain the wire: what the kernel sent must be what ``gso.segment`` makes of the super-packet."""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from dataclasses import dataclass

from gso.kernel.judging.evidence import Cell
from gso.kernel.scenarios import Scenario

import gso
from gso.headers._fine import fine_frames
from gso.headers.fields import differences

_ETHERNET = 14
_ADDRESSES, _ETH_P_8021Q = 12, 0x8100
_IPV4_FRAGMENT, _IPV6_FRAGMENT = 0x3FFF, 44  # flag and offset; the next header
_MOST_SHOWN = 3
_MOST_BYTES = 256 << 20
_CHECKSUMS = ("frame-checksum", "frame-partial-checksum")
_BYTES_ALONE = "dn0"
"""How the names of the worker's devices begin to which only bytes come, all checksums complete."""


@dataclass(frozen=True)
class SuperPacket:
    """A packet before segmentation. ``reconstructed``: no device can show it, see below."""

    frame: bytes
    gso_size: int
    time_ns: int
    reconstructed: bool = False


@dataclass(frozen=True)
class Explanation:
    """The comparison of one cell. ``differences``: readable, empty when all bytes agree."""

    super_packets: int
    segments: int
    matching: int
    reconstructed: bool
    differences: tuple[str, ...]


def super_packets(scenario: Scenario, cell: Cell) -> list[SuperPacket]:
    """Return the super-packets that went to the segmenter.

    The mirror shows them, except with remote checksum offload: no device takes such a packet
    whole, so the mirror gets segments. Then the headers are those that the probe read at
    ``__dev_queue_xmit`` and the payload is that of the same TCP packet as it came in.
    """
    if scenario.checksum == "remcsum":
        return _reconstructed(cell)
    return [
        SuperPacket(_tagged(scenario, f.data), f.gso_size, f.time_ns)
        for f in cell.frames["mirror"]
        if f.gso_size
    ]


def _tagged(scenario: Scenario, frame: bytes) -> bytes:
    """Return the frame with the tag that the VLAN device will add after the MAC addresses."""
    if not scenario.vlan:
        return frame
    tag = struct.pack("!HH", _ETH_P_8021Q, scenario.number)
    return frame[:_ADDRESSES] + tag + frame[_ADDRESSES:]


def _reconstructed(cell: Cell) -> list[SuperPacket]:
    incoming = {
        _identity(f.data, _ETHERNET, len(f.data)): f for f in cell.frames["ingress"] if f.gso_size
    }
    found = []
    for event in cell.trace.at("__dev_queue_xmit"):
        fields = event.fields
        inner = fields["inner_network_header"] - fields["network_header"] + _ETHERNET
        original = incoming.get(_identity(event.head, inner, fields["len"]))
        if original is not None:
            # After the linear part the probe read whatever lies there in memory.
            head = event.head[: fields["len"] - fields["data_len"]]
            frame = head + original.data[_ETHERNET + len(head) - inner :]
            found.append(
                SuperPacket(frame, original.gso_size, original.time_ns, reconstructed=True)
            )
    return found


def _identity(head: bytes, network: int, length: int) -> tuple[bytes, int]:
    """Return what the packet keeps through the tunnel: TCP ports and numbers, and its length."""
    transport = network + (40 if head[network] >> 4 == 6 else 20)
    return head[transport : transport + 12], length - network


def _segments(scenario: Scenario, packet: SuperPacket) -> list[bytes]:
    """Return the frames that the wire must carry for a super-packet."""
    if scenario.segmenter is None:
        return [packet.frame]  # the device takes it whole
    # A tag is no part of what is segmented; that a kernel takes it for one is a fault of its own.
    frame, tag = _untagged(packet.frame)
    segments = gso.segment(
        frame,
        packet.gso_size,
        tunnel_ports=scenario.tunnel_ports,
        checksum="partial" if scenario.partial else "complete",
    ).to_list()
    return [segment[:_ADDRESSES] + tag + segment[_ADDRESSES:] for segment in segments]


def _untagged(frame: bytes) -> tuple[bytes, bytes]:
    """Return the frame without its VLAN tags, and these."""
    end = _ADDRESSES
    while int.from_bytes(frame[end : end + 2], "big") == _ETH_P_8021Q:
        end += 4
    return frame[:_ADDRESSES] + frame[end:], frame[_ADDRESSES:end]


def explain(scenario: Scenario, cell: Cell) -> Explanation:
    """Segment each super-packet and look for every segment among the frames on the wire.

    The frames of a list keep headers of their own, which the super-packet does not show: only their
    checksums are judged.

    Raises :class:`ValueError` where there are many times more than an exchange sends: a short
    file can have super-packets that are cut for hours.
    """
    packets = super_packets(scenario, cell)
    wire = Counter(frame.data for frame in cell.frames["wire"])
    segments = matching = size = 0
    missing: list[bytes] = []  # the first of them
    problems: list[str] = []
    for number, packet in enumerate(() if scenario.listed else packets):
        try:
            expected = _segments(scenario, packet)
        except gso.GsoError as error:
            problems.append(f"super-packet {number} of {len(packet.frame)} bytes: {error}")
            continue
        for segment in expected:
            segments += 1
            size += len(segment)
            if wire[segment] > 0:
                wire[segment] -= 1
                matching += 1
            elif len(missing) < _MOST_SHOWN:
                missing.append(segment)
        if size > _MOST_BYTES:
            raise ValueError(f"the super-packets have segments of more than {_MOST_BYTES} bytes")
    if cell.segmentation_drops:
        # What is on the wire then are retransmissions: other packets, not comparable.
        problems.append(f"{segments - matching} of {segments} segments were never sent")
    else:
        problems += _compare(missing, list(wire.elements()), scenario.tunnel_ports)
        if (more := segments - matching - len(missing)) > 0:
            problems.append(f"and {more} more segments that differ")
    sent = [frame.data for frame in cell.frames["wire"]]
    problems += _wrong_checksums(scenario, sent)
    # Whatever is sent here fits: it is cut by a segmenter, or not at all.
    if fragments := sum(map(_is_fragment, sent)):
        problems.append(f"{fragments} of {len(sent)} frames are fragments")
    return Explanation(
        len(packets),
        segments,
        matching,
        any(packet.reconstructed for packet in packets),
        tuple(problems),
    )


def _is_fragment(frame: bytes) -> bool:
    network = _ETHERNET
    while int.from_bytes(frame[network - 2 : network], "big") == _ETH_P_8021Q:
        network += 4
    if len(frame) < network + 20:
        return False
    version = frame[network] >> 4
    if version == 4:
        return bool(int.from_bytes(frame[network + 6 : network + 8], "big") & _IPV4_FRAGMENT)
    return version == 6 and frame[network + 6] == _IPV6_FRAGMENT


def _wrong_checksums(scenario: Scenario, frames: list[bytes]) -> list[str]:
    """Say how many frames a receiver refuses; with remote checksum offload none is complete."""
    if scenario.checksum == "remcsum" or not scenario.worker_device.startswith(_BYTES_ALONE):
        return []
    ports = scenario.tunnel_ports
    fine = fine_frames(gso.Frames.from_list(frames), "ethernet", tunnel_ports=ports)
    doubtful = [frame for frame, is_fine in zip(frames, fine, strict=True) if not is_fine]
    judged = [gso.validate(frame, tunnel_ports=ports) for frame in doubtful]
    first = [next((f for f in found if f.rule in _CHECKSUMS), None) for found in judged]
    wrong = [finding for finding in first if finding is not None]
    if not wrong:
        return []
    return [f"{len(wrong)} of {len(frames)} frames have a wrong checksum: {wrong[0].message}"]


def _compare(missing: list[bytes], left: list[bytes], ports: dict[int, gso.Tunnel]) -> list[str]:
    """Say for each missing segment how the wire's frame with the same sequence number differs."""
    by_sequence = defaultdict(list)
    for frame in left:
        by_sequence[_sequence(frame, ports)].append(frame)
    shown = []
    for segment in missing:
        sequence = _sequence(segment, ports)
        label = f"segment with TCP sequence number {sequence}, {len(segment)} bytes"
        if sequence not in by_sequence:
            shown.append(f"{label}: not on the wire")
            continue
        # A bare acknowledgement may have the same number: the nearest length is the segment.
        actual = min(by_sequence[sequence], key=lambda frame: abs(len(frame) - len(segment)))
        fields = "; ".join(str(d) for d in differences(segment, actual, tunnel_ports=ports))
        shown.append(f"{label}: {fields}")
    return shown


def _sequence(frame: bytes, ports: dict[int, gso.Tunnel]) -> int | None:
    try:
        layout = gso.parse(frame, tunnel_ports=ports)
    except gso.GsoError:
        return None
    transport = layout.inner_transport_header or layout.transport_header
    if transport is None:
        return None
    return int.from_bytes(frame[transport + 4 : transport + 8], "big")
