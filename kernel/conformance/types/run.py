"""One run of ``conformance --types``: make packets with metadata, boot, segment them, compare."""

from __future__ import annotations

import errno
import io
import json
import lzma
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Literal

from gso.kernel import guest_files
from gso.kernel.bootable import Bootable
from gso.kernel.conformance.tunnels.compare import DIFFERENT, EQUAL, NOT_SENT, REFUSED, same
from gso.kernel.conformance.tunnels.devices import PORTS
from gso.kernel.conformance.tunnels.records import outer_family
from gso.kernel.conformance.tunnels.run import Options, Report, boot_in, boots, pieces, ready
from gso.kernel.conformance.types import lists, requests, sctp
from gso.kernel.conformance.types.requests import Device, Kept, Request
from gso.kernel.conformance.types.wrappers import WRAPPERS
from gso.kernel.errors import UsageError
from gso.kernel.guest.records import ANSWER, ANSWERED, SEGMENT, with_length
from gso.kernel.machine.share import GIVEN
from gso.kernel.paths import GUEST
from gso.kernel.progress import Progress
from gso.kernel.trees import debian
from gso.kernel.trees.modules import own_module

import gso
from gso import GSO_BY_FRAGS, L4, GsoError, GsoType, checksum
from gso.versions import REFERENCE, Fact, KernelVersion, facts_of, nearest

_PER_BOOT = 8000
# Bytes and segments of a packet that is kept though nothing is wrong with it
_LARGEST_SAMPLE, _MOST_SEGMENTS = 2000, 20
# From here on __udp_gso_segment is known to complete segments that came without CHECKSUM_PARTIAL.
_FINISHES_USO = (6, 12)

# Bits that change what a packet becomes, of which a few examples each are kept.
_TELLING = (
    GsoType.TCP_FIXEDID_OUTER
    | GsoType.TCP_FIXEDID_INNER
    | GsoType.TCP_FIXEDID
    | GsoType.UDP
    | GsoType.UDP_L4
    | GsoType.TUNNEL_REMCSUM
)
# Kinds of packets that the kernel treats in a way of its own, in words
_TOLD = {"seq", "routed", "misled"}
_IP_IN_IP = GsoType.IPXIP4 | GsoType.IPXIP6
_NO_PIECES = GsoType.UDP | GsoType.TUNNEL_REMCSUM
_SEALED = GsoType.UDP_TUNNEL_CSUM | GsoType.GRE_CSUM


@dataclass(frozen=True)
class Segment:
    """``gso_size``: not 0 where a device goes on with it. ``partial``: it completes a checksum."""

    frame: bytes
    gso_size: int
    csum_start: int
    csum_offset: int
    partial: bool


@dataclass(frozen=True)
class Outcome:
    """``unfit``: errno where the module could not make the packet; ``error``: the kernel's.

    ``host``: the worker whose kernel it was, if it was one's.
    """

    request: Request
    segments: tuple[Segment, ...]
    error: int = 0
    unfit: int = 0
    host: str = ""


@dataclass(frozen=True)
class Judged:
    """One packet: the verdict, and our answer where it differs."""

    outcome: Outcome
    verdict: str
    way: str = ""
    ours: tuple[bytes, ...] = ()
    why: str = ""


# --- the same question to gso --------------------------------------------------------------------


def completes(request: Request) -> bool:
    """Say whether the device is left to complete the innermost checksum.

    __udp_gso_segment forgets what the device can where CHECKSUM_PARTIAL is not set, and
    nsh_gso_segment always.
    """
    if request.nsh or (request.listed and not request.by_frags and not request.cut_anew):
        return False
    if request.by_frags:
        # A checksum around the CRC32c needs it: the tunnel takes NETIF_F_SCTP_CRC away.
        return bool(request.device & Device.SCTP_CRC) and not request.gso_type & _SEALED
    uso = request.gso_type & GsoType.UDP_L4 and request.l4 is L4.UDP
    if request.cut_anew:
        return bool(request.device & Device.HW_CSUM) and not uso
    return bool(request.device & Device.HW_CSUM) and (request.csum_partial or not uso)


def asked(request: Request) -> tuple[GsoType, Literal["complete", "partial"]]:
    """Return the options with which ``gso.segment`` is to do what the kernel does for the device.

    __skb_gso_segment makes pieces only where the device takes pieces of that type, and skb_segment
    only where it completes checksums and gathers.
    """
    gso_type = GsoType(request.gso_type)
    if request.by_frags:
        return gso_type, "partial" if completes(request) else "complete"
    whole = Device.SG | Device.HW_CSUM | Device.GSO_PARTIAL
    if request.cut_anew:
        gso_type &= ~GsoType.FRAGLIST
    # No pieces are made of what has a frag_list.
    pieces = (completes(request) or request.nsh) and not request.member and not request.listed
    if pieces and request.device & whole == whole and not gso_type & _NO_PIECES:
        gso_type |= GsoType.PARTIAL
    return gso_type, "partial" if completes(request) else "complete"


def judge(outcome: Outcome, version: KernelVersion = REFERENCE) -> Judged:
    """Compare in every way that can be asked for; the first that differs counts."""
    if outcome.unfit:
        return Judged(outcome, NOT_SENT, why=f"no such packet: errno {outcome.unfit}")
    request = outcome.request
    if request.device & Device.GSO and any(one.gso_size for one in outcome.segments):
        return _judge_whole(outcome, version)
    if request.cut_anew and (refused := _taken_for_list(request, version)):
        return Judged(outcome, DIFFERENT, refused)
    kernel = [finished(outcome.request, segment) for segment in outcome.segments]
    gso_type, wanted = asked(outcome.request)
    ways = [wanted, "partial"] if gso_type & GsoType.PARTIAL or outcome.request.nsh else [wanted]
    for way in dict.fromkeys(ways):
        ours, why = _segmented(outcome.request, gso_type, way, version)
        if not same(kernel, with_id_of(kernel, ours, outcome.request)):
            return Judged(outcome, DIFFERENT, f'{gso_type!r}, checksum="{way}"', tuple(ours), why)
    if kernel and not _left_alike(outcome):
        return Judged(outcome, DIFFERENT, "what is left to the device", tuple(ours))
    return Judged(outcome, EQUAL if kernel else REFUSED)


def question(request: Request) -> tuple[bytes | list[bytes], list[int] | None]:
    """Return ``frame`` and ``pieces`` of ``gso.segment`` for an sk_buff with its frag_list."""
    if request.by_frags:
        return request.frame + b"".join(request.listed), [len(one) for one in request.listed]
    if request.cut_anew:
        return request.frame + b"".join(map(_payload, request.listed)), None
    return [request.frame, *request.listed] if request.listed else request.frame, None


def _payload(frame: bytes) -> bytes:
    return frame[gso.parse(frame, tunnel_ports={}).payload :]


def _taken_for_list(request: Request, version: KernelVersion) -> str:
    """Say so if ``gso.segment`` cuts as a list of frames what the kernel cuts otherwise."""
    try:
        gso.segment(
            [request.frame, *request.listed],
            request.gso_size,
            gso_type=GsoType(request.gso_type),
            kernel=version,
        )
    except GsoError:
        return ""
    return "cut as a list of frames"


# --- super-packets that come out -----------------------------------------------------------------


def _judge_whole(outcome: Outcome, version: KernelVersion) -> Judged:
    """Compare super-packets for a device that takes them whole, but none with a frag_list.

    SCTP for a device that takes it stays as it is.
    """
    request = outcome.request
    if request.by_frags:
        whole = request.frame + b"".join(request.listed)
        alike = [(one.frame, one.gso_size) for one in outcome.segments] == [(whole, GSO_BY_FRAGS)]
        return Judged(outcome, EQUAL if alike else DIFFERENT, "whole", (whole,))
    gso_type = GsoType(request.gso_type) & ~GsoType.DODGY
    ours, why = _segmented(request, gso_type, "partial", version)
    theirs: list[bytes] = []
    for one in outcome.segments:
        made = [one.frame]
        if one.gso_size:
            piece = replace(request, frame=one.frame, gso_size=one.gso_size)
            made, why = _segmented(piece, gso_type, "partial", version)
        theirs += made
    verdict = EQUAL if same(theirs, ours) else DIFFERENT
    return Judged(outcome, verdict, "in super-packets", tuple(ours), why)


def _segmented(
    request: Request,
    gso_type: GsoType,
    way: Literal["complete", "partial"],
    version: KernelVersion,
) -> tuple[list[bytes], str]:
    frame, pieces = question(request)
    try:
        made = gso.segment(
            frame,
            request.gso_size,
            gso_type=gso_type,
            checksum=way,
            tunnel_ports=PORTS,
            kernel=version,
            pieces=pieces,
        )
    except GsoError as error:
        return [], str(error)
    return [bytes(segment) for segment in made], ""


def with_id_of(kernel: list[bytes], ours: list[bytes], request: Request) -> list[bytes]:
    """Return our fragments with the kernel's ID, where a tunnel's checksum covers it.

    It is random in IPv6 fragments, and else :func:`same` looks over it.
    """
    gre = request.gso_type & GsoType.GRE_CSUM
    sealed = gre or request.gso_type & GsoType.UDP_TUNNEL_CSUM
    if not (kernel and ours and sealed and request.version == 6 and request.gso_type & GsoType.UDP):
        return ours
    ident = gso.parse(ours[0], tunnel_ports=PORTS).payload + 4
    check = request.transport_header + (4 if gre else 6)
    return [_with_word(frame, ident, kernel[0][ident : ident + 4], check) for frame in ours]


def _with_word(frame: bytes, at: int, new: bytes, check: int) -> bytes:
    """Return a frame with other bytes, and a checksum over them brought up to date (RFC 1624)."""
    changed = bytearray(frame)
    old = frame[check : check + 2] + frame[at : at + len(new)]
    value = checksum(bytes(byte ^ 0xFF for byte in old) + new) or 0xFFFF
    changed[at : at + len(new)] = new
    changed[check : check + 2] = value.to_bytes(2, "big")
    return bytes(changed)


def _is_outer(request: Request, segment: Segment) -> bool:
    return request.encapsulation and segment.csum_start < request.inner_network_header


def finished(request: Request, segment: Segment) -> bytes:
    """Return a segment with its outer checksum, which the kernel leaves to a device that can.

    That is so where nothing inside is left to do: around a fragment, or with remote checksum
    offload. ``gso.segment`` leaves the innermost checksum undone, or none.
    """
    if not segment.partial or not _is_outer(request, segment):
        return segment.frame
    at = segment.csum_start + segment.csum_offset
    value = checksum(segment.frame[segment.csum_start :]) or 0xFFFF
    return segment.frame[:at] + value.to_bytes(2, "big") + segment.frame[at + 2 :]


def _left_alike(outcome: Outcome) -> bool:
    """Say whether the kernel left those checksums to the device that it was asked to leave.

    A fragment's is complete, and that of remote checksum offload is the receiver's.
    """
    gso_type, way = asked(outcome.request)
    wanted = way == "partial" and not gso_type & _NO_PIECES
    left = {
        segment.partial and not _is_outer(outcome.request, segment) for segment in outcome.segments
    }
    return left == {wanted}


# --- one run -------------------------------------------------------------------------------------


def compare(options: Options, progress: Progress) -> Report:
    """Boot a kernel, give its segmenter all packets, and judge every answer."""
    kernel = debian.choose(options.kernel)
    version = tuple(map(int, kernel.release.split(".")[:2]))
    source = replayed(options.replay) if options.replay else _made(options, version)
    bootable = ready(kernel, options, progress)
    progress.stage("building the module that hands packets to the segmenter")
    bootable = replace(bootable, modules=(own_module(kernel, GUEST / "segmenter"),))
    report = Report(f"Debian {kernel.release}", options.seed)
    kept: Counter[tuple[object, ...]] = Counter()
    number = 0
    for outcomes in boots(
        options,
        progress,
        pieces(source, _PER_BOOT),
        lambda sent: _boot(options, bootable, sent, report),
    ):
        for outcome in outcomes:
            _add(report, judge(outcome, nearest(kernel.release)), number, kept)
            number += 1
    return report


def _made(options: Options, version: tuple[int, ...]) -> Iterator[Request]:
    known = [*WRAPPERS, *lists.LISTS, *sctp.KINDS]
    kinds = [
        kind for kind in known if not options.only or any(word in kind for word in options.only)
    ]
    if not kinds:
        raise UsageError(
            f"no packet has {' or '.join(options.only)} in its headers; there are "
            + ", ".join(known)
        )
    return _random(options, kinds, version)


def _fixed_ids(version: tuple[int, ...]) -> tuple[GsoType, ...]:
    """Return the bits that a kernel has for IPv4 IDs that stay the same."""
    kernel = nearest(".".join(map(str, version)))
    if facts_of(kernel) & Fact.TWO_FIXED_IDS:
        outer, inner = GsoType.TCP_FIXEDID_OUTER, GsoType.TCP_FIXEDID_INNER
        return outer, inner, outer | inner
    return (GsoType.TCP_FIXEDID,)


def _random(options: Options, kinds: Sequence[str], version: tuple[int, ...]) -> Iterator[Request]:
    uso_without_partial = version >= _FINISHES_USO
    for number in range(options.count):
        # Each has a seed of its own: one packet can be made again without those before it.
        r = Random(f"{options.seed}-{number}")
        kind = kinds[number % len(kinds)]
        if kind in lists.LISTS:
            request = lists.make(r, kind)
            if not uso_without_partial and request.cut_anew and request.l4 is L4.UDP:
                request.device &= ~Device.HW_CSUM  # to which these kernels leave the checksums
            yield request
            continue
        if kind in sctp.KINDS:
            yield sctp.make(r, kind, _fixed_ids(version))
            continue
        yield requests.make(
            r, kind, uso_without_partial=uso_without_partial, fixed_ids=_fixed_ids(version)
        )


def _boot(
    options: Options, bootable: Bootable, sent: Sequence[Request], report: Report
) -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory(prefix="gso-conformance-") as name:
        folder = Path(name)
        with (folder / "requests.bin").open("wb") as sink:
            for request in sent:
                sink.write(with_length(request.pack()))
        plan = {"types": {"requests": str(GIVEN / "requests.bin")}}
        done = boot_in(options, folder, bootable, plan, folder / "requests.bin")
        report.booted.append(done.place)
        source = io.BytesIO(guest_files.read(folder / "vm" / "outcome.bin"))
        for request in sent:
            with guest_files.understood("outcome.bin"):
                unfit, length = ANSWERED.unpack(source.read(ANSWERED.size))
                found = read_answer(request, guest_files.exactly(source, length), unfit)
            yield replace(found, host=done.host)


def read_answer(request: Request, answer: bytes, unfit: int = 0) -> Outcome:
    """Read what the module answered."""
    if unfit:
        return Outcome(request, (), unfit=unfit)
    error, count = ANSWER.unpack_from(answer)
    at, segments = ANSWER.size, []
    for _ in guest_files.counted(count):
        length, size, start, offset, partial = SEGMENT.unpack_from(answer, at)
        at += SEGMENT.size
        if len(answer) - at < length:
            raise ValueError(f"a segment of {length} bytes has {len(answer) - at}")
        segments.append(Segment(answer[at : at + length], size, start, offset, bool(partial)))
        at += length
    return Outcome(request, tuple(segments), -error)


def _add(report: Report, one: Judged, number: int, kept: Counter[tuple[object, ...]]) -> None:
    """Take a judged packet into the report."""
    request, segments = one.outcome.request, one.outcome.segments
    report.count(request.family, one.verdict, len(segments))
    if one.verdict == EQUAL:
        report.types.update(bit.name or "" for bit in GsoType if bit & request.gso_type)
        report.types[GsoType.PARTIAL.name or ""] += any(segment.gso_size for segment in segments)
    if one.verdict == DIFFERENT:
        report.differences.append(record(one, f"{report.seed}-{number}"))
        return
    size = sum(map(len, (request.frame, *request.listed)))
    small = size <= _LARGEST_SAMPLE and len(segments) <= _MOST_SEGMENTS
    if one.verdict in (EQUAL, REFUSED) and small:
        key = _kind(one)
        kept[key] += 1
        if kept[key] == 1:
            report.samples.append(record(one, f"{report.seed}-{number}"))


def _kind(one: Judged) -> tuple[object, ...]:
    """Return what is alike in packets of which one is kept as an example."""
    request = one.outcome.request
    telling = request.gso_type & _TELLING
    if request.by_frags:
        outer = outer_family(request.frame.hex())
        return one.verdict, request.kind, outer, request.version, telling, completes(request)
    if request.listed:
        return one.verdict, request.kind, request.version, len(request.listed)
    if one.verdict == REFUSED:
        return request.kind, telling & ~GsoType.TCP_FIXEDID, request.gso_type & _IP_IN_IP
    pieces = any(segment.gso_size for segment in one.outcome.segments)
    way = completes(request), request.csum_partial, pieces
    told = _TOLD & set(request.kind.split("-"))
    return request.family, *sorted(told), telling, request.version, *way


# --- records -------------------------------------------------------------------------------------

_OFFSETS = (
    *("network_header", "transport_header", "inner_mac_header", "inner_network_header"),
    *("inner_transport_header", "csum_start", "csum_offset"),
)
_WHERE = ("linear", "member", "start", "time_key", "kept")
_AS_THEY_ARE = (*_OFFSETS, "csum_partial", "encapsulation", "inner_protocol", "inner_ipproto")


def record(one: Judged, number: str) -> dict[str, Any]:
    """Return a packet with the kernel's answer, and where they differ with ours, for JSON."""
    request, segments = one.outcome.request, one.outcome.segments
    found: dict[str, Any] = {
        "name": f"types/{request.kind}/{number}",
        "config": request.kind,
        "tunnel": "none" if "none" in request.kind.split("-") else request.kind,
        "via_ipvs": False,
        "outer_family": outer_family(request.frame.hex()),
        "inner_family": request.version or None,
        "inner_l4": "sctp" if request.by_frags else request.l4.name.lower(),
        "description": "a random packet with a random gso_type",
        "input_source": "built",
        "device": [name.lower() for bit in Device if (name := bit.name) and bit & request.device],
        "input": {
            "frame": request.frame.hex(),
            "gso_size": request.gso_size,
            "gso_type": request.gso_type,
            "gso_type_names": [bit.name for bit in GsoType if bit & request.gso_type],
            "ip_summed": "partial" if request.csum_partial else "none",
            **{name: getattr(request, name) for name in _AS_THEY_ARE},
            **({"listed": [frame.hex() for frame in request.listed]} if request.listed else {}),
            **{name: n for name in _WHERE if (n := int(getattr(request, name)))},
        },
        "outputs": [finished(request, segment).hex() for segment in segments],
        "output_gso_sizes": [segment.gso_size for segment in segments],
        "dropped": not segments,
        "error": errno.errorcode.get(one.outcome.error, "") if one.outcome.error else "",
    }
    if one.verdict == DIFFERENT:
        found |= {
            "way": one.way,
            "refused_for": one.why,
            "ours": [segment.hex() for segment in one.ours],
            **({"host": one.outcome.host} if one.outcome.host else {}),
        }
    return found


def request_of(found: dict[str, Any]) -> Request:
    """Return the packet of a record."""
    given = found["input"]
    device = Device(0)
    for name in found["device"]:
        device |= Device[name.upper()]
    return Request(
        kind=found["config"],
        frame=bytes.fromhex(given["frame"]),
        gso_size=given["gso_size"],
        gso_type=given["gso_type"],
        device=device,
        version=found["inner_family"] or 0,
        l4=L4.__members__.get(found["inner_l4"].upper(), L4.NONE),
        listed=tuple(map(bytes.fromhex, given.get("listed", ()))),
        **{name: given.get(name, 0) for name in _WHERE[:-1]},
        kept=Kept(given.get("kept", 0)),
        **{name: given[name] for name in _AS_THEY_ARE},
    )


def replayed(path: Path) -> Iterator[Request]:
    """Read the packets of an earlier run."""
    try:
        yield from [
            request_of(found) for found in json.loads(lzma.decompress(path.read_bytes()))["records"]
        ]
    except (OSError, lzma.LZMAError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: not packets of an earlier run: {error}") from None
