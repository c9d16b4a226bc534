"""Random packets in a real kernel, and how the answers are compared."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random

import pytest
from gso.kernel.commands.conformance import table
from gso.kernel.conformance.gro import streams
from gso.kernel.conformance.tunnels import malformed, outcomes, packets, records, run
from gso.kernel.conformance.tunnels.compare import DIFFERENT, EQUAL, NOT_SENT, REFUSED, judge
from gso.kernel.conformance.tunnels.devices import DIRECT, PORTS, devices
from gso.kernel.conformance.tunnels.outcomes import Outcome, Super
from gso.kernel.conformance.tunnels.run import Report
from gso.kernel.conformance.types import lists, requests, sctp, wrappers
from gso.kernel.conformance.types import run as typed
from gso.kernel.errors import TestBedError
from gso.kernel.guest.records import (
    GSO_TCPV4,
    GSO_UDP,
    GSO_UDP_L4,
    HANDED,
    LISTED,
    OUTCOME,
    REQUEST,
)

import gso
from gso import L4, GsoType
from vectorset import record

DEVICES = {device.kind: device for device in devices()}
NONE, VXLAN = DEVICES["none"], DEVICES["vxlan4-udpcsum"]


@pytest.mark.vm
def test_a_kernel_and_the_library_agree(gso_kernel, tmp_path, request):
    request.getfixturevalue("test_bed")
    done = gso_kernel(
        *("conformance", "--seed", "2", "--count", "800"),
        *("--json", "found.json", "--vectors", "vectors.json.xz"),
    )
    assert done.status == 0, done.out + done.err
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["packets"] == 800
    assert found["differences"] == []
    assert found["refused_devices"] == {}
    tallies = {row["family"]: row for row in found["tallies"]}
    assert {"none", "vlan", "mpls", "ipip", "gre", "vxlan", "geneve", "fou", "gue"} <= set(tallies)
    assert tallies["none"]["refused"] > 50
    # So few go through a TAP device that all may be refused
    assert all(row.get(EQUAL) for name, row in tallies.items() if name != "tap")
    assert sum(row["segments"] for row in tallies.values()) > 2000
    again = gso_kernel("conformance", "--replay", "vectors.json.xz")
    assert again.status == 0, again.out + again.err


@pytest.mark.vm
def test_gro_of_a_kernel_and_the_library_agree(gso_kernel, tmp_path, request):
    request.getfixturevalue("test_bed")
    done = gso_kernel(
        "conformance", "--gro", "--seed", "2", "--count", "300", "--json", "found.json"
    )
    assert done.status == 0, done.out + done.err
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["streams"] == 300
    assert found["differences"] == []
    assert found["refused"] == {}
    tallies = {row["family"]: row for row in found["tallies"]}
    assert {"none", "vlan", "IP in IP", "gre", "vxlan", "geneve", "fou", "gue"} <= set(tallies)
    assert all(row["merged"] > 0 for row in tallies.values())
    assert sum(row[EQUAL] for row in tallies.values()) > 200


@pytest.mark.vm
def test_a_kernel_and_the_library_agree_on_every_gso_type(gso_kernel, tmp_path, request):
    request.getfixturevalue("test_bed")
    done = gso_kernel(
        *("conformance", "--types", "--seed", "5", "--count", "600"),
        *("--json", "found.json", "--vectors", "vectors.json.xz"),
    )
    assert done.status == 0, done.out + done.err
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["packets"] == 600
    assert found["differences"] == []
    tallies = {row["family"]: row for row in found["tallies"]}
    assert set(tallies) == {
        *("none", "mpls", "nsh", "ipip", "gre", "gretap", "vxlan", "geneve", "fou", "gue", "list"),
        "sctp",
    }
    assert all(row[EQUAL] > 10 for row in tallies.values())
    assert not any(row.get(NOT_SENT) for row in tallies.values())
    assert sum(row.get(REFUSED, 0) for row in tallies.values()) > 10
    seen = found["types"]
    assert min(seen["TCP_FIXEDID"], seen["PARTIAL"], seen["UDP_L4"]) > 20
    assert min(seen["UDP"], seen["TUNNEL_REMCSUM"]) > 0
    again = gso_kernel("conformance", "--types", "--replay", "vectors.json.xz")
    assert again.status == 0, again.out + again.err


# --- without a VM ------------------------------------------------------------------------------


def test_every_device_has_a_name_and_a_kind_of_its_own():
    found = devices()
    assert len({device.name for device in found}) == len(found)
    assert len(DEVICES) == len(found)
    assert DEVICES["none"].name == DIRECT
    assert all("{" not in line for device in found for line in (*device.ip, *device.tc))


def test_the_same_seed_makes_the_same_packets():
    def made(seed):
        r = Random(seed)
        return [malformed.make(r) for _ in range(50)] + [packets.make(r, VXLAN) for _ in range(50)]

    assert made(1) == made(1)
    assert made(1) != made(2)


@pytest.mark.parametrize("kind", wrappers.WRAPPERS)
def test_metadata_is_that_of_the_headers(kind):
    """The same seed makes the same, and what is written for the module has its length."""
    r, again = Random(kind), Random(kind)
    for _ in range(100):
        request = requests.make(r, kind)
        assert requests.make(again, kind) == request
        assert request.encapsulation == (kind not in ("none", "mpls", "nsh"))
        assert len(request.pack()) == REQUEST.size + len(request.frame)
        assert 0 < request.gso_size < 0xFFFF
        layout = gso.parse(request.frame, tunnel_ports=PORTS)
        inner = request.encapsulation or kind in ("mpls", "nsh")
        start = layout.inner_transport_header if inner else layout.transport_header
        if layout.l4 is L4.NONE:
            continue  # after a fragment header, at which the walk ends
        assert layout.l4 is request.l4
        assert not request.csum_partial or request.csum_start == start


@pytest.mark.parametrize("kind", lists.LISTS)
def test_lists_are_as_gro_leaves_them(kind):
    """The same seed makes the same, and before NAT all frames are of one flow that GRO lists."""
    for seed in range(100):
        request = lists.make(Random(seed), kind)
        assert lists.make(Random(seed), kind) == request
        sizes = [len(frame) + LISTED.size for frame in request.listed]
        assert len(request.pack()) == REQUEST.size + len(request.frame) + sum(sizes)
        layout = gso.parse(request.frame)
        assert (layout.l4, layout.inner_version) == (request.l4, request.version)
        assert not any(gso.validate(frame) for frame in request.listed)
        if not request.cut_anew:
            assert len(request.frame) - layout.payload == request.gso_size


def test_lists_that_are_cut_anew_are_refused_as_lists_and_known():
    """By another size than its first frame's, or from a sender who is not trusted."""
    made = [lists.make(Random(seed), lists.LISTS[seed % 3]) for seed in range(200)]
    anew = [request for request in made if request.cut_anew]
    assert 10 < len(anew) < 100
    for request in anew:
        frame, pieces = typed.question(request)
        assert isinstance(frame, bytes)
        assert pieces is None
        gso_type, way = typed.asked(request)
        assert not gso_type & GsoType.FRAGLIST
        segments = gso.segment(frame, request.gso_size, gso_type=gso_type, checksum=way)
        cut = [
            typed.Segment(bytes(one), 0, request.transport_header, 6, way == "partial")
            for one in segments
        ]
        assert typed.judge(typed.Outcome(request, tuple(cut))).verdict == EQUAL
        as_list = [request.frame, *request.listed]
        with pytest.raises(gso.GsoError):
            gso.segment(as_list, request.gso_size, gso_type=GsoType(request.gso_type))


def test_packets_are_kept_in_ways_that_the_module_takes():
    """Its rules, which a packet that breaks one does not get past, are in segmenter.c."""
    ways = set()
    for seed in range(400):
        request = requests.make(Random(seed), "none")
        ways.add((bool(request.member), bool(request.start), bool(request.time_key)))
        assert not request.linear or 14 <= request.linear < len(request.frame)
        if request.member:
            assert request.linear
            assert request.start <= request.member
            assert not request.kept & requests.Kept.SHARED_PAGES
        assert not request.kept & requests.Kept.HEAD_FRAG or 0 < request.start <= 2048
        assert (
            typed.request_of(typed.record(typed.judge(typed.Outcome(request, ())), "0")) == request
        )
    assert {way[0] for way in ways} == {way[1] for way in ways} == {way[2] for way in ways}


def test_super_packets_for_a_device_are_cut_again():
    """A device that takes them whole, but none with a frag_list, is given smaller ones."""
    request = next(
        request
        for request in (requests.make(Random(seed), "none") for seed in range(5000))
        if request.device & requests.Device.GSO and len(request.frame) < 30000
    )
    whole = typed.Segment(request.frame, request.gso_size, request.csum_start, 16, partial=True)
    assert typed.judge(typed.Outcome(request, (whole,))).verdict == EQUAL
    assert typed.judge(typed.Outcome(request, (whole, whole))).verdict == DIFFERENT


def test_streams_say_how_a_driver_hands_each_frame_over():
    """The rules are those of receiver.c; where a card has looked at checksums they are right."""
    seen = set()
    for seed in range(400):
        stream = streams.make(Random(seed), streams.SHAPES)
        assert streams.make(Random(seed), streams.SHAPES) == stream
        assert bool(stream.handed) == streams.DEVICES[stream.device].driver
        if not stream.handed:
            continue
        for frame, handed in zip(stream.frames, stream.handed, strict=True):
            seen.add((handed.place, handed.summed))
            assert len(handed.pack(len(frame))) == HANDED.size
            assert handed.place != 1 or len(frame) <= 2048
            assert handed.place != 2 or 14 <= handed.front < len(frame)
            assert handed.place != 3 or not handed.first or handed.first >= 14
            if handed.summed in (1, 3) and "remcsum" not in stream.shape:
                assert not [fault for fault in gso.validate(frame, tunnel_ports=streams.PORTS)
                            if "checksum" in str(fault)]  # fmt: skip
    assert seen == {(place, summed) for place in range(4) for summed in range(4)}


@pytest.mark.parametrize("kind", sctp.KINDS)
def test_sctp_has_its_headers_first_and_chunks_for_each_segment(kind):
    for seed in range(60):
        request = sctp.make(Random(seed), kind)
        assert sctp.make(Random(seed), kind) == request
        if not request.gso_type & GsoType.SCTP:
            assert not request.listed
            continue
        assert request.gso_size == gso.GSO_BY_FRAGS
        sizes = [len(chunks) + LISTED.size for chunks in request.listed]
        assert len(request.pack()) == REQUEST.size + len(request.frame) + sum(sizes)
        layout = gso.parse(request.frame, tunnel_ports=PORTS)
        assert layout.payload == request.csum_start == len(request.frame) - 12
        found = typed.record(typed.judge(typed.Outcome(request, ())), "0")
        assert typed.request_of(found) == request


@pytest.mark.parametrize("version", [4, 6])
def test_sound_packets_are_what_their_header_says(version):
    r = Random(version)
    for _ in range(300):
        packet = packets.ip_packet(r, version)
        if packet.sound:
            layout = gso.parse(packet.frame, link_type="raw", tunnel_ports=PORTS)
            assert layout.inner_version == version
            if layout.l4 is not L4.NONE:
                assert layout.l4 is packet.l4
                assert layout.transport_header == packet.csum_start


def test_a_segments_checksum_can_be_made_zero():
    r = Random(5)
    found = 0
    for _ in range(200):
        packet = packets.ip_packet(r, 4)
        if packet.gso_type != GSO_TCPV4 or packet.gso_size < 8 or not packet.flags:
            continue
        packets.zero_checksum(r, packet)
        try:
            made = gso.segment_vnet(packet.vnet + packet.frame, link_type="raw")
        except gso.GsoError:
            continue  # no larger than gso_size
        at = packet.csum_start + packet.csum_offset
        found += len(made) > 1 and any(bytes(s[at : at + 2]) == b"\0\0" for s in made)
    assert found > 20


def segmented() -> Outcome:
    """A packet of the vectors as an outcome: the kernel's own answer."""
    known = record("gre/v4/exact3")
    given = known["input"]
    one = Super(bytes.fromhex(given["frame"]), given["gso_size"], given["gso_type"], True)
    segments = [bytes.fromhex(output) for output in known["outputs"]]
    packet = packets.Packet(bytes.fromhex(known["injected"]["headers"]), 0x0800)
    return Outcome(0, packet, 0, [one], segments)


def test_the_kernels_own_answer_is_equal():
    assert judge(DEVICES["gre"], segmented()).verdict == EQUAL


def changed(segments: list[bytes], at: int) -> list[bytes]:
    """Flip a bit of the first."""
    first = bytearray(segments[0])
    first[at] ^= 1
    return [bytes(first), *segments[1:]]


@pytest.mark.parametrize(
    "change",
    [
        lambda s: changed(s, 0),
        lambda s: changed(s, -1),
        lambda s: changed(s, 30),
        lambda s: s[:-1],
        lambda s: [*s, s[0]],
        lambda _: [],
        lambda s: [s[1], s[0], *s[2:]],
    ],
)
def test_every_other_answer_is_different(change):
    outcome = segmented()
    outcome = replace(outcome, segments=change(outcome.segments))
    one = judge(DEVICES["gre"], outcome)
    assert one.verdict == DIFFERENT
    assert list(one.ours) == segmented().segments


def test_only_the_random_id_of_a_fragment_may_differ():
    r = Random(1)
    packet = packets.ip_packet(r, 6)
    while packet.gso_type != GSO_UDP or len(packet.frame) < packet.csum_start + 20:
        packet = packets.ip_packet(r, 6)
    packet = packets.in_ethernet(r, packet, tags=1)
    packet.gso_size = 16
    ours = [bytearray(segment) for segment in gso.segment_vnet(packet.vnet + packet.frame)]
    ident = gso.parse(ours[0]).payload + 4
    theirs = [bytes(s[:ident]) + b"\1\2\3\4" + bytes(s[ident + 4 :]) for s in ours]
    packet.sound = False
    outcome = Outcome(0, packet, 0, [], theirs)
    assert judge(NONE, outcome).verdict == EQUAL
    wrong = replace(outcome, segments=changed(theirs, ident - 1))
    assert judge(NONE, wrong).verdict == DIFFERENT


def test_what_could_not_be_sent_says_nothing():
    packet = packets.Packet(b"")
    for error in (-1, 90):
        assert judge(VXLAN, Outcome(0, packet, error, [], [])).verdict == NOT_SENT


def test_refusals_of_both_are_no_difference():
    r = Random(1)
    packet = packets.make(r, NONE)
    packet.gso_type = 0x7F
    assert judge(NONE, Outcome(0, packet, 22, [], [])).verdict == REFUSED
    packet.gso_type = 0
    packet.flags = 0
    assert judge(NONE, Outcome(0, packet, 22, [], [])).verdict == DIFFERENT


class Cluster(ThreadPoolExecutor):
    """Stands for the machines of a cluster."""

    slots = 3
    ended = False

    def end(self) -> None:
        self.ended = True


def test_a_cluster_boots_several_at_once_and_answers_in_order():
    together = threading.Barrier(3)

    def boot(lot):
        together.wait(60)  # all three are under way, or it breaks
        yield from (word * 2 for word in lot)

    lots = run.pieces(iter("abcdefghi"), 3)
    with Cluster(3) as machines:
        found = run.boots(run.Options(machines=machines), Silent(), lots, boot)
        assert list(map("".join, found)) == ["aabbcc", "ddeeff", "gghhii"]
    here = run.boots(run.Options(), Silent(), run.pieces(iter("ab"), 1), lambda lot: iter(lot * 2))
    assert list(map("".join, found_by(here))) == ["aa", "bb"]


def found_by(answers):
    return [list(each) for each in answers]


def test_what_goes_wrong_at_a_worker_ends_the_others():
    def boot(lot):
        raise TestBedError("vm", f"lost with {lot}")
        yield

    with Cluster(3) as machines:
        found = run.boots(
            run.Options(machines=machines), Silent(), run.pieces(iter("abcd"), 1), boot
        )
        with pytest.raises(TestBedError, match="lost with"):
            list(found)
        assert machines.ended


class Silent:
    def stage(self, text):
        pass

    def note(self, text):
        pass


def test_differences_can_be_sent_again(tmp_path):
    outcome = segmented()
    outcome = replace(outcome, segments=[])
    report = Report("a kernel", 7)
    report.add(judge(DEVICES["gre"], outcome), 3)
    assert "generated/gre/7-3: gso_type differs (the kernel refuses)" in table(report)
    path = tmp_path / "x.json.xz"
    records.write(path, report.differences)
    (again,) = records.packets_of(path)
    assert again[0] == "gre"
    assert again[1].vnet + again[1].frame == outcome.packet.vnet + outcome.packet.frame
    assert again[1].protocol == 0x0800


def test_the_trace_tells_the_state_of_each_packet(tmp_path):
    packet = replace(packets.make(Random(3), VXLAN), gso_type=GSO_UDP_L4)
    sent = [(0, packet), (0, packet)]
    super_, segment = b"s" * 60, b"t" * 50
    (tmp_path / "metadata.txt").write_text(
        "x-1 [000] ..... 1.0: tracing_mark_write: packet 0\n"
        "x-1 [000] ..... 1.0: netif_rx_entry: dev=mir0 napi_id=0x0 ip_summed=3 hash=0x0 "
        "len=46 mac_header=-14 nr_frags=1 gso_size=1400 gso_type=0x402\n"
        "x-1 [000] ..... 1.0: gso_segment: (__skb_gso_segment+0x0) mac_header=100 "
        "network_header=114 transport_header=134 inner_mac_header=150 inner_network_header=164 "
        "inner_transport_header=184 csum_start=184 csum_offset=6 head=1000 origin=1100 dev=wire0\n"
        "x-1 [000] ..... 1.0: tracing_mark_write: packet 1\n"
    )
    head = OUTCOME.pack(0, 1, 1)
    frames = b"".join(len(f).to_bytes(4, "little") + f for f in (super_, segment))
    (tmp_path / "outcome.bin").write_bytes(head + frames + OUTCOME.pack(22, 0, 0))
    first, second = outcomes.read(tmp_path, sent)
    (one,) = first.supers
    assert (one.frame, first.segments) == (super_, [segment])
    assert (one.gso_size, one.partial) == (1400, True)
    # The tracepoint shows 16 bits of the type.
    assert one.gso_type == GsoType.UDP_TUNNEL | GsoType.DODGY | GsoType.UDP_L4
    assert one.offsets["inner_network_header"] == 64
    assert (one.offsets["csum_start"], one.offsets["csum_offset"]) == (84, 6)
    assert (second.error, second.supers, second.segments) == (22, [], [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nothing-like-it"], "no device has nothing-like-it in its name"),
        (["--count", "0"], "0 is not a positive number"),
        (["--replay", "missing.json.xz"], "missing.json.xz: not packets of an earlier run"),
        (["--vectors", "missing/x"], "there is no folder missing"),
        (["--types", "--only", "nothing-like-it"], "no packet has nothing-like-it in its headers"),
        (["--types", "--replay", "missing.json.xz"], "missing.json.xz: not packets of an earlier"),
        (["--types", "--gro"], "--gro and --types are two runs"),
    ],
)
def test_wrong_usage(gso_kernel, arguments, message):
    done = gso_kernel("conformance", *arguments)
    assert done.status == 2
    assert message in done.err
