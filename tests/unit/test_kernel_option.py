"""kernel=: what 7.3 and 6.1 do otherwise than 6.12, the reference."""

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

import gso
import reference
from gso import GsoError, GsoType, Reason
from gso.cli import main
from gso.versions import KERNELS, REFERENCE, facts_of, may_be, nearest

OUTER, INNER = GsoType.TCP_FIXEDID_OUTER, GsoType.TCP_FIXEDID_INNER
SIZE = 100
PAYLOAD = bytes(range(256)) + bytes(100)


def build(*layers, payload=PAYLOAD):
    packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for layer in layers:
        packet /= layer
    return bytes(packet / Raw(payload))


def ip():
    return IP(src="10.0.0.1", dst="10.0.0.2", id=7)


def ip6():
    return IPv6(src="fd00::1", dst="fd00::2")


def tcp(flags="A"):
    return TCP(sport=1000, dport=2000, seq=2**32 - 1000, ack=7, flags=flags)


def udp():
    return UDP(sport=1000, dport=2000)


def vxlan(*inner, outer=None, payload=PAYLOAD):
    head = (outer or ip(), UDP(sport=5, dport=4789), VXLAN(vni=5), Ether(src="02:00:00:00:00:03"))
    return build(*head, *inner, payload=payload)


def ids(packets, at):
    return [int.from_bytes(bytes(packet)[at : at + 2], "big") for packet in packets]


def rises(numbers):
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.mark.parametrize(
    ("packet", "bits", "steady"),
    [
        (build(ip(), tcp()), OUTER, (True,)),
        (build(ip(), tcp()), INNER, (False,)),
        (build(ip(), ip(), tcp()), OUTER, (True, False)),
        (build(ip(), ip(), tcp()), INNER, (False, True)),
        (build(ip(), ip(), tcp()), OUTER | INNER, (True, True)),
        (vxlan(ip(), tcp()), OUTER, (True, True)),  # encap_level is 0 again in a UDP tunnel
        (vxlan(ip(), tcp()), INNER, (False, False)),
    ],
)
def test_ids_stay_the_same_by_two_bits_without_df(packet, bits, steady):
    made = gso.segment(packet, SIZE, gso_type=bits, kernel="7.3")
    layout = gso.parse(packet)
    starts = [layout.network_header, layout.inner_network_header][: len(steady)]
    for start, stays in zip(starts, steady, strict=True):
        numbers = ids(made, start + 4)
        assert len(set(numbers)) == 1 if stays else rises(numbers)
    assert made.to_list() == reference.segment(packet, SIZE, gso_type=bits, kernel="7.3")


@pytest.mark.parametrize(
    ("bits", "kernel"), [(OUTER, "6.12"), (INNER, "6.1"), (GsoType.TCP_FIXEDID, "7.3")]
)
def test_bits_of_another_kernel_are_refused(bits, kernel):
    with pytest.raises(GsoError) as caught:
        gso.segment(build(ip(), tcp()), SIZE, gso_type=bits, kernel=kernel)
    assert caught.value.reason is Reason.GSO_TYPE
    assert caught.value.offset == bits


def test_a_piece_of_datagrams_has_the_length_of_one():
    packet, bits = build(ip(), udp()), GsoType.UDP_L4 | GsoType.PARTIAL
    at = gso.parse(packet).transport_header + 4
    lengths = {
        kernel: ids(gso.segment(packet, SIZE, gso_type=bits, kernel=kernel), at)[0]
        for kernel in KERNELS
    }
    assert lengths["7.3"] == SIZE + 8
    assert lengths["6.12"] == lengths["6.1"] > SIZE + 8


def test_pieces_are_limited_by_their_segments():
    packet = build(ip(), tcp()) + bytes(100_000)
    made = {
        kernel: len(gso.segment(packet, 1448, gso_type=GsoType.PARTIAL, kernel=kernel))
        for kernel in ("6.12", "7.3")
    }
    assert made == {"6.12": 2, "7.3": 2}
    longest = gso.segment(packet, 1448, gso_type=GsoType.PARTIAL, kernel="7.3").lengths.max()
    assert longest > 65535


def test_a_jumbo_header_stays():
    head = bytearray(build(ip6(), tcp()))
    payload = bytes(70_000)
    whole = head[:54] + bytes([6, 0, 0xC2, 4]) + (70_100).to_bytes(4, "big") + head[54:] + payload
    whole[20] = 0
    hlen = {kernel: len(gso.segment(whole, 1400, kernel=kernel)[0]) for kernel in ("6.12", "7.3")}
    assert hlen["7.3"] == hlen["6.12"] + 8


def test_batches_and_headers_take_the_kernel_too():
    packet = vxlan(ip(), tcp())
    wanted = gso.segment(packet, SIZE, gso_type=OUTER, kernel="7.3")
    options = {"gso_type": OUTER, "kernel": "7.3"}
    twice = gso.segment_batch([packet, packet], SIZE, **options)
    assert twice.to_list() == wanted.to_list() * 2
    headers, payload = gso.segment_headers(packet, SIZE, **options)
    joined = [
        bytes(header) + packet[at : at + n]
        for header, (at, n) in zip(headers, payload.tolist(), strict=True)
    ]
    assert joined == wanted.to_list()
    assert len(gso.segment_headers_batch([packet], SIZE, **options).headers) == len(wanted)
    mixed = gso.segment_batch([packet], SIZE, gso_type=np.array([int(OUTER)]), kernel="7.3")
    assert mixed.to_list() == wanted.to_list()


@pytest.mark.parametrize(
    "call",
    [
        lambda k: gso.segment(build(ip(), tcp()), SIZE, kernel=k),
        lambda k: gso.segment_batch([], SIZE, kernel=k),
        lambda k: gso.coalesce([], kernel=k),
        lambda k: gso.segment_vnet(bytes(100), kernel=k),
        lambda k: gso.segment_vnet_batch([], np.zeros(0, gso.VNET_DTYPE), kernel=k),
        lambda k: gso.validate(gso.SkbState(), kernel=k),
        lambda k: gso.validate(build(ip(), tcp()), kernel=k),
        lambda k: gso.validate_batch(gso.skb_array(1), kernel=k),
        facts_of,
    ],
)
def test_other_kernels_are_named(call):
    with pytest.raises(ValueError, match=r"kernel is one of 6\.1, 6\.12, 7\.3, not '6\.13'"):
        call("6.13")


def test_releases_find_the_kernel_that_is_known():
    assert REFERENCE in KERNELS
    assert [nearest(r) for r in ("6.12.117+deb12-amd64", "6.1.0-50-amd64", "7.3.4-1", "6.18.44")] \
        == ["6.12", "6.1", "7.3", "6.12"]  # fmt: skip
    assert nearest("5.10.0") == "6.1"


@pytest.mark.parametrize(
    ("release", "kernels"),
    [
        ("", ("6.1", "6.12", "7.3")),
        ("5.10.0-30-amd64", ("6.1",)),
        ("6.1.0", ("6.1",)),
        ("6.8.0-45-generic", ("6.1", "6.12")),
        ("6.12.117+deb12-amd64", ("6.12",)),
        ("6.18.44", ("6.12", "7.3")),
        ("7.3-rc1", ("7.3",)),
        ("8.0", ("7.3",)),
    ],
)
def test_a_release_may_be_like_the_kernels_that_it_lies_between(release, kernels):
    assert may_be(release) == kernels


# --- rules ---


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("bit", range(32))
def test_a_bit_of_gso_type_is_known_where_segmentation_takes_it(bit, kernel):
    """TCP_FIXEDID is 7.3's no more; the bits that it has instead are unknown before."""
    bits = 1 << bit | GsoType.TCPV4
    try:
        gso.segment(build(ip(), tcp()), SIZE, gso_type=bits, kernel=kernel)
        means_nothing = False
    except GsoError as error:
        means_nothing = "mean nothing in this kernel" in str(error)
    state = gso.SkbState(gso_type=bits, gso_size=SIZE)
    unknown = gso.RULES["gso-type-unknown"]
    found = gso.validate(state, kernel=kernel)
    assert (unknown.rule in [one.rule for one in found]) is means_nothing
    assert unknown.rule in found.judged
    rows = gso.skb_array([state])
    assert gso.validate(rows, kernel=kernel) == [found]
    assert gso.validate_batch(rows, kernel=kernel)[0] >> unknown.bit & 1 == means_nothing


def test_the_last_bit_of_gso_type_stays_in_a_row_with_the_others():
    state = gso.SkbState(gso_type=OUTER | INNER | GsoType.TCPV4, gso_size=SIZE, encapsulation=1)
    row = gso.skb_array([state])[0]
    assert gso.SkbState.from_row(row) == state
    assert [one.rule for one in gso.validate(row, kernel="7.3")] == ["encapsulation-unmarked"]
    with pytest.raises(ValueError, match="gso_type is 0x80000000"):
        gso.SkbState(gso_type=INNER)


@pytest.mark.parametrize(
    ("bits", "kernel", "violated", "judged"),
    [
        (OUTER, "", [], 0),
        (OUTER | INNER, "6.18.44", [], 0),
        (GsoType.TCP_FIXEDID, "6.18.44", [], 0),
        (GsoType.TCP_FIXEDID, "6.8.0-45-generic", [], 1),
        (OUTER | INNER, "6.12.117", ["gso-type-unknown"], 1),
        (OUTER | INNER, "7.3.4", [], 1),
        (1 << 25, "", ["gso-type-unknown"], 1),
        (OUTER | 1 << 25, "6.18.44", ["gso-type-unknown"], 1),
    ],
)
def test_what_kernels_do_not_agree_on_is_not_judged_in_a_log_of_any_of_them(
    bits, kernel, violated, judged
):
    line = (
        "nc-1 [000] ..s1. 12.5: tcp_gso_segment: (tcp_gso_segment+0x0/0x500) "
        f"skb=0xffff888100000000 gso_size=1448 gso_type={bits | GsoType.TCPV4:d}\n"
    )
    diagnosis = gso.diagnose(gso.read_trace(line.encode()), kernel)
    assert [rule for case in diagnosis.cases for rule in case.rules] == violated
    assert diagnosis.judged.get("gso-type-unknown", 0) == judged


def jumbo(length):
    """BIG TCP over IPv6 as kernels before 7.0 have it."""
    plain = build(IPv6(src="fd00::1", dst="fd00::2", plen=0, nh=6), tcp(), payload=bytes(length))
    options = bytes([6, 0, 0xC2, 4]) + (length + 28).to_bytes(4, "big")
    return plain[:20] + bytes(1) + plain[21:54] + options + plain[54:]


def big_vxlan():
    tunnel = IP(src="10.0.0.1", dst="10.0.0.2", len=0)
    outer = UDP(sport=5, dport=4789, len=0, chksum=0)
    inner = Ether(src="02:00:00:00:00:03") / IP(src="10.0.0.1", dst="10.0.0.2", len=0) / tcp()
    return build(tunnel, outer, VXLAN(vni=5), inner, payload=bytes(70_000))


BIG = {
    "ipv4": build(IP(src="10.0.0.1", dst="10.0.0.2", len=0), tcp(), payload=bytes(70_000)),
    "ipv6": build(IPv6(src="fd00::1", dst="fd00::2", plen=0), tcp(), payload=bytes(70_000)),
    "jumbo": jumbo(70_000),
    "wrong jumbo": jumbo(70_000) + bytes(70),
    "vxlan": big_vxlan(),
    "ipip": build(
        IP(src="10.0.0.1", dst="10.0.0.2", len=0, proto=4),
        IP(src="10.0.0.3", dst="10.0.0.4", len=0),
        tcp(),
        payload=bytes(70_000),
    ),
}


@pytest.mark.parametrize(
    ("name", "kernels"),
    [
        ("ipv4", {"6.12", "7.3"}),
        ("ipv6", {"7.3"}),
        ("jumbo", {"6.1", "6.12", "7.3"}),
        ("wrong jumbo", {"7.3"}),
        ("vxlan", {"7.3"}),
        ("ipip", {"7.3"}),
    ],
)
def test_a_length_of_0_is_right_where_the_kernel_has_such_packets(name, kernels, tmp_path, capsys):
    found = {kernel: gso.validate(BIG[name], kernel=kernel) for kernel in KERNELS}
    wrong = {k: [one for one in every if one.rule == "frame-length"] for k, every in found.items()}
    assert {kernel for kernel in KERNELS if not wrong[kernel]} == kernels
    for kernel, every in wrong.items():
        for one in every:
            assert f"nothing is right there in Linux {kernel}" in one.message
            assert one.fields.keys() == {"offset", "value"}
    path = tmp_path / "big.pcap"
    gso.write_capture(path, gso.Frames.from_list([BIG[name]]))
    for kernel in KERNELS:
        main(["validate", "--kernel", kernel, str(path)])
        assert ("frame-length" in capsys.readouterr().out) is bool(wrong[kernel])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("value", [1, 1500, 65535])
def test_a_length_that_is_not_0_is_wrong_in_any_kernel(kernel, value):
    frame = bytearray(BIG["ipv4"])
    frame[16:18] = value.to_bytes(2, "big")
    assert "frame-length" in [one.rule for one in gso.validate(frame, kernel=kernel)]


# --- GRO ---


def stream(packet, bits, kernel="7.3"):
    return gso.segment(packet, SIZE, gso_type=bits, kernel=kernel)


@pytest.mark.parametrize("bits", [GsoType(0), OUTER, INNER, OUTER | INNER])
@pytest.mark.parametrize("packet", [build(ip(), ip(), tcp()), build(ip(), tcp())])
def test_gro_notes_the_bit_that_gives_the_frames_back(packet, bits):
    frames = stream(packet, bits)
    made = gso.coalesce(frames, fixed_ids=True, kernel="7.3")
    assert len(made) == 1
    kept = bits if gso.parse(packet).inner_network_header else bits & OUTER
    assert int(made.gso_type[0]) & (OUTER | INNER) == kept
    back = gso.segment(made[0], SIZE, gso_type=int(made.gso_type[0]), kernel="7.3")
    assert back == frames
    assert (len(gso.coalesce(frames, kernel="7.3")) == 1) == (kept == 0)


def test_gro_merges_accurate_ecn():
    packet = bytearray(build(ip(), tcp(flags="CA")))
    frames = stream(packet, GsoType.TCP_ACCECN)
    made = gso.coalesce(frames, kernel="7.3")
    assert len(made) == 1
    assert int(made.gso_type[0]) & GsoType.TCP_ACCECN
    assert len(gso.coalesce(frames)) > 1
    assert len(gso.coalesce([frames[0], *stream(build(ip(), tcp()), 0)[1:]], kernel="7.3")) > 1


@pytest.mark.parametrize("outer", [4, 6])
def test_big_tcp_in_a_tunnel_has_lengths_of_zero(outer):
    head = ip if outer == 4 else ip6
    packet = vxlan(ip6(), tcp(), outer=head()) + bytes(80_000)
    frames = gso.segment(packet, 8000, kernel="7.3")
    made = gso.coalesce(frames, gro_max_size=200_000, kernel="7.3")
    assert len(made) == 1
    layout = gso.parse(made[0])
    at = layout.transport_header + 4
    assert bytes(made[0])[at : at + 2] == b"\0\0"
    again = gso.segment(made[0], 8000, gso_type=int(made.gso_type[0]), kernel="7.3")
    assert again == frames
    assert len(gso.coalesce(frames, gro_max_size=200_000)) > 1


# --- virtio headers ---


def vnet(frame, kind, flags=0, size=SIZE):
    return gso.VirtioNetHeader(flags=flags, gso_type=kind, gso_size=size).pack() + bytes(frame)


def tagged(frame):
    return bytes(frame[:12]) + b"\x81\0\0\5" + bytes(frame[12:])


def outcome(packet, **options):
    try:
        return len(gso.segment_vnet(packet, **options))
    except GsoError:
        return 0


@pytest.mark.parametrize("segment_vnet", [gso.segment_vnet, reference.segment_vnet])
def test_who_looks_behind_a_vlan_tag_without_needs_csum(segment_vnet):
    packet = vnet(tagged(build(ip(), tcp())), 1)
    assert len(segment_vnet(packet, source="tap")) == 4
    assert len(segment_vnet(packet, source="packet", kernel="7.3")) == 4
    assert len(segment_vnet(packet, source="tap", kernel="7.3")) == 4
    with pytest.raises(GsoError):
        segment_vnet(packet, source="packet")


def test_a_tap_counts_forty_bytes_of_headers():
    whole = build(ip(), tcp())
    payload = len(whole) - 54
    for size in range(payload - 2, payload + 16):
        packet = vnet(whole, 1, size=size)
        if len(whole) - 40 <= size:
            assert outcome(packet) == 1
        else:  # and the segmenter has the last word on what is a little larger
            assert outcome(packet) == (2 if payload > size else 0)
        assert outcome(packet, source="packet") == (1 if payload <= size else 2)
        assert outcome(packet, kernel="7.3") == (1 if payload <= size else 2)


def test_the_version_must_be_that_of_the_type():
    packet = vnet(build(ip6(), tcp()), 1, size=60000)
    assert outcome(packet) == 1  # too small, and nothing is looked at
    assert outcome(packet, source="packet") == outcome(packet, kernel="7.3") == 0


def test_6_1_has_no_uso():
    frame = build(ip(), udp())
    header = gso.VirtioNetHeader(1, 5, 0, SIZE, 34, 6).pack()
    assert outcome(header + frame) > 1
    assert outcome(header + frame, kernel="6.1") == 0
    rows = np.zeros(1, gso.VNET_DTYPE)
    rows[0] = (1, 5, 0, SIZE, 34, 6, 0, 0, 0, 0, 0, 0)
    with pytest.raises(GsoError):
        gso.segment_vnet_batch([frame], rows, kernel="6.1")


def test_other_sources_are_named():
    with pytest.raises(ValueError, match="one of tap, packet, read, not 'tun'"):
        gso.segment_vnet(vnet(build(ip(), tcp()), 1), source="tun")


# --- limits ---


def test_big_tcp_over_ipv4_came_after_6_1():
    frames = gso.segment(build(ip(), tcp()) + bytes(90_000), 1000)
    sizes = {"gro_max_size": 200_000, "gro_ipv4_max_size": 200_000}
    made = {kernel: gso.coalesce(frames, kernel=kernel, **sizes) for kernel in KERNELS}
    assert {kernel: len(merged) for kernel, merged in made.items()} == {
        "6.1": 2,
        "6.12": 1,
        "7.3": 1,
    }
    assert made["6.1"].lengths.max() <= 14 + 65535
    for kernel, merged in made.items():
        for packet in merged:
            lengths = [one for one in gso.validate(packet, kernel=kernel) if "length" in one.rule]
            assert lengths == []


def test_a_device_has_a_limit_for_each_family():
    sizes = {"gro_max_size": 200_000, "gro_ipv4_max_size": 30_000}
    for head, most in ((ip, 30_000), (ip6, 200_000)):
        frames = gso.segment(build(head(), tcp()) + bytes(90_000), 1000)
        lengths = gso.coalesce(frames, **sizes).lengths
        assert most - 1100 < lengths.max() < most or (most > 90_000 and len(lengths) == 1)
    tagged_frames = [
        tagged(frame) for frame in gso.segment(build(ip6(), tcp()) + bytes(90_000), 1000)
    ]
    assert gso.coalesce(tagged_frames, **sizes).lengths.max() < 30_100
    with pytest.raises(ValueError, match="gro_ipv4_max_size is between 1 and 524280"):
        gso.coalesce([], gro_ipv4_max_size=0)
