"""Packets with the kernel's answers as records in JSON: see tests/vectors/README.md."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gso.kernel.conformance.tunnels.compare import DIFFERENT, Judged, as_kept
from gso.kernel.conformance.tunnels.devices import DIRECT, STRAIGHT, TAP
from gso.kernel.conformance.tunnels.outcomes import Super
from gso.kernel.conformance.tunnels.packets import Packet
from gso.kernel.errors import UsageError
from gso.kernel.guest.records import NEEDS_CSUM

from gso import GsoType
from gso.versions import KernelVersion

_INNER = ("inner_mac_header", "inner_network_header", "inner_transport_header")
_IP_VERSIONS = {"0800": 4, "86dd": 6}


def can_be_kept(one: Judged) -> bool:
    """Say whether one packet went in, and the frame alone tells what the kernel knew of it.

    Of TAP devices the virtio_net_hdr is what matters.
    """
    packet, outcome = one.outcome.packet, one.outcome
    if one.device.name == TAP:
        return True
    if one.device.name == DIRECT:
        return packet.sound and not outcome.error and bool(as_kept(packet, one.kernel)[0])
    if len(outcome.supers) != 1:
        return False
    (only,) = outcome.supers
    return only.partial and bool(only.gso_size)


def of(one: Judged, number: str) -> dict[str, Any]:
    """Return the record of a packet; where the answers differ, with both."""
    packet, outcome = one.outcome.packet, one.outcome
    direct = one.device.name in STRAIGHT
    record: dict[str, Any] = {
        "name": f"generated/{one.device.kind.replace(' ', '-')}/{number}",
        "config": one.device.kind,
        "config_description": "; ".join((*one.device.ip, *one.device.tc)),
        "tunnel": one.device.kind if one.device.tunnels else packet.tunnel,
        "via_ipvs": False,
        "inner_family": packet.version or None,
        "inner_l4": packet.l4.name.lower(),
        "description": "a random packet",
        "input_source": "injected" if direct else "captured",
        "injected": {
            "vnet_hdr": packet.vnet.hex(),
            "frame": packet.frame.hex(),
            "protocol": packet.protocol,
            "device": one.device.kind,
        },
        "inputs": [
            _input(s) for s in ([_injected(packet, one.kernel)] if direct else outcome.supers)
        ],
        "outputs": [segment.hex() for segment in outcome.segments],
        "dropped": not outcome.segments,
    }
    if len(record["inputs"]) == 1:
        record["input"] = record.pop("inputs")[0]
        record["outer_family"] = outer_family(record["input"]["frame"])
        if not one.device.tunnels or "mpls" in one.device.kind:
            # Nothing that segmentation looks at: left over from other uses of the sk_buff
            for name in _INNER:
                record["input"].pop(name, None)
    if one.verdict == DIFFERENT:
        record |= {
            "way": one.way,
            "refused_for": one.why,
            "ours": [segment.hex() for segment in one.ours],
            **({"host": one.host} if one.host else {}),
        }
    return record


def outer_family(frame: str) -> int | None:
    """Return the IP version after the VLAN tags of a frame in hex."""
    while frame[24:28] in ("8100", "88a8"):
        frame = frame[:24] + frame[32:]
    return _IP_VERSIONS.get(frame[24:28])


def _injected(packet: Packet, kernel: KernelVersion) -> Super:
    """Return a packet for the segmenting device as the kernel keeps it."""
    size, gso_type = as_kept(packet, kernel)
    offsets = {"csum_start": packet.csum_start, "csum_offset": packet.csum_offset}
    return Super(packet.frame, size, gso_type, bool(packet.flags & NEEDS_CSUM), offsets)


def _input(one: Super) -> dict[str, Any]:
    return {
        "frame": one.frame.hex(),
        "gso_size": one.gso_size,
        "gso_type": int(one.gso_type),
        "gso_type_names": [bit.name for bit in GsoType if bit & one.gso_type],
        "csum_partial": one.partial,
        "ip_summed": "partial" if one.partial else "none",
        **one.offsets,
    }


def write(path: Path, records: list[dict[str, Any]]) -> None:
    """Write records, compressed, one a line."""
    lines = ",\n".join(json.dumps(record) for record in records)
    path.write_bytes(lzma.compress(f'{{"records": [\n{lines}\n]}}\n'.encode(), preset=9))


def packets_of(path: Path) -> Iterator[tuple[str, Packet]]:
    """Read the packets of records of this module, each with the kind of its device."""
    try:
        found = json.loads(lzma.decompress(path.read_bytes()))["records"]
        for record in found:
            sent = record["injected"]
            yield (
                sent["device"],
                Packet.replayed(
                    bytes.fromhex(sent["vnet_hdr"]), bytes.fromhex(sent["frame"]), sent["protocol"]
                ),
            )
    except (OSError, lzma.LZMAError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: not packets of an earlier run: {error}") from None
