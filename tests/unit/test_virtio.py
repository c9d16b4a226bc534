"""virtio headers, and the packets that follow them."""

import dataclasses
import struct

import pytest

import gso
import vectorset
from gso import GsoError, Reason, VirtioNetFlags, VirtioNetGso, VirtioNetHeader

TCP4 = next(r for r in vectorset.records() if r["name"] == "odd/ok4")
FULL = VirtioNetHeader(1, 0x21, 78, 1400, 104, 16, 3, 0x12345678, 9, 34, 84)
PAYLOAD = bytes(range(250)) * 12


def header_of(record):
    return VirtioNetHeader.unpack(bytes.fromhex(record["injected"]["vnet_hdr"]))


def run(header, frame, **options):
    size = options.setdefault("header_size", 10)
    return gso.segment_vnet(header.pack(size) + frame, **options)


def refused(header, frame, **options):
    with pytest.raises(GsoError) as caught:
        run(header, frame, **options)
    error = caught.value
    assert str(error)
    return error.reason, error.field, error.offset, error.limit


def change(header, **fields):
    return dataclasses.replace(header, **fields)


class TestHeader:
    @pytest.mark.parametrize("size", [10, 12, 20, 24])
    @pytest.mark.parametrize("byteorder", ["little", "big", "native"])
    def test_round_trip(self, size, byteorder):
        kept = {10: 6, 12: 7, 20: 9, 24: 11}[size]
        header = VirtioNetHeader(*dataclasses.astuple(FULL)[:kept])
        packed = header.pack(size, byteorder=byteorder)
        assert len(packed) == size
        assert VirtioNetHeader.unpack(packed + b"packet", size, byteorder=byteorder) == header

    def test_layout_of_the_longest(self):
        assert FULL.pack() == struct.pack(
            "<BBHHHHHIHHHH", 1, 0x21, 78, 1400, 104, 16, 3, 0x12345678, 9, 0, 34, 84
        )

    def test_tunnel_fields_stay_little_endian(self):
        packed = FULL.pack(byteorder="big")
        assert packed[4:6] == (1400).to_bytes(2, "big")
        assert packed[10:12] == (3).to_bytes(2, "big")
        assert packed[20:] == struct.pack("<HH", 34, 84)

    @pytest.mark.parametrize(
        ("fields", "size"),
        [({}, 10), ({"num_buffers": 1}, 12), ({"hash_value": 1}, 20), ({"inner_nh_offset": 1}, 24)],
    )
    def test_shortest_size(self, fields, size):
        header = VirtioNetHeader(**fields)
        assert len(header.pack()) == size
        assert VirtioNetHeader.unpack(header.pack()) == header

    def test_names(self):
        header = VirtioNetHeader(
            flags=VirtioNetFlags.NEEDS_CSUM | VirtioNetFlags.UDP_TUNNEL_CSUM,
            gso_type=VirtioNetGso.TCPV6 | VirtioNetGso.UDP_TUNNEL_IPV4 | VirtioNetGso.ECN,
        )
        assert header.pack()[:2] == b"\x09\xa4"

    def test_frozen(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            FULL.flags = 0

    def test_too_short(self):
        with pytest.raises(GsoError, match=r"of 12 bytes, but there are 11") as caught:
            VirtioNetHeader.unpack(bytes(11), 12)
        assert caught.value.reason is Reason.TRUNCATED
        assert (caught.value.offset, caught.value.limit) == (12, 11)

    def test_wrong_usage(self):
        with pytest.raises(ValueError, match="10, 12, 20, 24 bytes, not 11"):
            VirtioNetHeader.unpack(bytes(24), 11)
        with pytest.raises(ValueError, match="need 24 bytes, not 12"):
            FULL.pack(12)
        with pytest.raises(ValueError, match="out of range"):
            VirtioNetHeader(gso_size=65536).pack()
        with pytest.raises(ValueError, match="byteorder"):
            VirtioNetHeader.unpack(bytes(10), byteorder="middle")


@pytest.mark.parametrize("size", [10, 12, 20, 24])
@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_all_forms_give_the_same(size, byteorder):
    buffer = header_of(TCP4).pack(size, byteorder=byteorder) + vectorset.frame(TCP4)
    made = gso.segment_vnet(bytearray(buffer), header_size=size, byteorder=byteorder)
    assert made.to_list() == vectorset.outputs(TCP4)


def test_partial():
    made = run(header_of(TCP4), vectorset.frame(TCP4), checksum="partial")
    expected = gso.segment(vectorset.frame(TCP4), 1400, checksum="partial")
    assert made == expected


def test_the_checksum_field_is_believed():
    """With NEEDS_CSUM the kernel adds to what it finds, and a wrong sum stays wrong by as much."""
    frame = bytearray(vectorset.frame(TCP4))
    right = int.from_bytes(frame[50:52], "big")
    frame[50:52] = ((right + 5) % 65535).to_bytes(2, "big")
    for made, expected in zip(run(header_of(TCP4), frame), vectorset.outputs(TCP4), strict=True):
        check, wanted = (int.from_bytes(f[50:52], "big") for f in (made, expected))
        assert (wanted - check) % 65535 == 5
        assert bytes(made[:50]) == expected[:50]


class TestWithoutGso:
    FRAME = b"\xff" * 40 + bytes.fromhex("0102030405060708")

    def test_completes_the_checksum_that_the_header_names(self):
        made = run(VirtioNetHeader(flags=1, csum_start=40, csum_offset=2), self.FRAME)
        check = gso.checksum(self.FRAME[40:]).to_bytes(2, "big")
        assert made.to_list() == [self.FRAME[:42] + check + self.FRAME[44:]]

    def test_zero_is_sent_as_ffff(self):
        frame = self.FRAME[:40] + b"\xff\xff\0\0"
        made = run(VirtioNetHeader(flags=1, csum_start=40, csum_offset=2), frame)
        assert made.to_list() == [self.FRAME[:40] + b"\xff\xff\xff\xff"]

    @pytest.mark.parametrize("flags", [0, 2, 4, 0xF0])
    def test_unchanged_without_needs_csum(self, flags):
        header = VirtioNetHeader(flags=flags, csum_start=60000, csum_offset=7)
        assert run(header, self.FRAME).to_list() == [self.FRAME]

    def test_partial_leaves_it(self):
        header = VirtioNetHeader(flags=1, csum_start=40, csum_offset=2)
        assert run(header, self.FRAME, checksum="partial").to_list() == [self.FRAME]

    def test_too_small_for_gso(self):
        """The kernel counts 20 bytes of TCP header, whatever its options."""
        frame = vectorset.frame(TCP4)[: 14 + 20 + 20 + 1400]
        (made,) = run(header_of(TCP4), frame).to_list()
        assert made[:50] == frame[:50]
        assert made[50:52] == gso.checksum(frame[34:]).to_bytes(2, "big")


class TestRefused:
    header = header_of(TCP4)
    frame = vectorset.frame(TCP4)

    @pytest.mark.parametrize(
        ("fields", "reason", "field"),
        [
            ({"gso_type": 2}, Reason.GSO_TYPE, "gso_type"),
            ({"gso_type": 0x80}, Reason.GSO_TYPE, "gso_type"),
            ({"gso_type": 0x61}, Reason.GSO_TYPE, "gso_type"),
            ({"gso_type": 4}, Reason.CHECKSUM, "csum_start"),
            ({"gso_type": 5, "csum_offset": 6}, Reason.GSO_TYPE, "gso_type"),
            ({"gso_type": 0x85, "csum_offset": 6}, Reason.GSO_TYPE, "gso_type"),
            ({"gso_size": 0}, Reason.GSO_SIZE, "gso_size"),
            ({"gso_size": 0xFFFF}, Reason.GSO_SIZE, "gso_size"),
            ({"hdr_len": 60000}, Reason.TRUNCATED, "hdr_len"),
            ({"csum_start": 60000}, Reason.TRUNCATED, "hdr_len"),
            ({"csum_start": 18}, Reason.CHECKSUM, "csum_start"),
            ({"csum_start": 38}, Reason.CHECKSUM, "csum_start"),
            ({"csum_offset": 6}, Reason.CHECKSUM, "csum_offset"),
            ({"flags": 0, "gso_type": 4}, Reason.GSO_TYPE, "gso_type"),
            ({"flags": 0, "gso_type": 3}, Reason.GSO_TYPE, "gso_type"),
            ({"flags": 0, "gso_type": 0x21}, Reason.CHECKSUM, "flags"),
        ],
    )
    def test_header(self, fields, reason, field):
        found = refused(change(self.header, **fields), self.frame)
        assert found[:2] == (reason, field)

    def test_without_needs_csum_the_packet_is_looked_at(self):
        header = change(self.header, flags=0, csum_start=0, csum_offset=0)
        assert run(header, self.frame).to_list() == vectorset.outputs(TCP4)

    def test_uso_over_128_segments(self):
        record = next(r for r in vectorset.records() if r["name"] == "odd/uso-plus1")
        header = change(header_of(record), gso_size=10)
        found = refused(header, vectorset.frame(record))
        assert found == (Reason.GSO_SIZE, "gso_size", 1401, 1280)

    def test_uso_without_needs_csum(self):
        record = next(r for r in vectorset.records() if r["name"] == "odd/uso-plus1")
        header = change(header_of(record), flags=0)
        assert refused(header, vectorset.frame(record))[:2] == (Reason.CHECKSUM, "flags")

    @pytest.mark.parametrize(
        ("kind", "reason"),
        [
            ("vxlan", Reason.CHECKSUM),  # the transport header is the outer one
            ("ipip", Reason.UNSUPPORTED),
            ("gre", Reason.UNSUPPORTED),
        ],
    )
    def test_tunnels_that_the_header_does_not_tell_of(self, kind, reason):
        record = next(
            r for r in vectorset.records()
            if r["config"] == kind and r["inner_l4"] == "tcp" and len(r["outputs"]) > 1
        )  # fmt: skip
        given = record["input"]
        header = VirtioNetHeader(1, 1, 0, given["gso_size"], given["csum_start"], 16)
        assert refused(header, vectorset.frame(record))[0] == reason

    def test_a_port_means_nothing(self):
        """USO to the VXLAN port is USO of whatever it carries."""
        record = next(r for r in vectorset.records() if r["name"] == "odd/uso-plus1")
        frame = bytearray(vectorset.frame(record))
        frame[36:38] = (4789).to_bytes(2, "big")
        assert len(run(header_of(record), frame)) == 2


UDP_TUNNELS = [
    record
    for record in vectorset.records()
    if record["tunnel"].startswith(("vxlan", "geneve", "fou", "gue"))
    and "remcsum" not in record["tunnel"]
    and record["input"]["gso_size"]
    and record["input"]["csum_partial"]
    and not record["input"]["gso_type"] & (gso.GsoType.UDP | gso.GsoType.TCP_FIXEDID)
    and not record["dropped"]
    and "gre" not in record["tunnel"]
]


def tunnel_header(record):
    """The 24-byte header for a captured tunnel super-packet, its offsets from the kernel's."""
    given = record["input"]
    inner = record["inner_family"] if record["inner_l4"] == "tcp" else "udp"
    kind = {4: VirtioNetGso.TCPV4, 6: VirtioNetGso.TCPV6, "udp": VirtioNetGso.UDP_L4}[inner]
    outer = record["outer_family"]
    kind |= VirtioNetGso.UDP_TUNNEL_IPV4 if outer == 4 else VirtioNetGso.UDP_TUNNEL_IPV6
    sealed = given["gso_type"] & gso.GsoType.UDP_TUNNEL_CSUM
    layout = gso.parse(vectorset.frame(record), tunnel_ports=vectorset.PORTS)
    return VirtioNetHeader(
        flags=VirtioNetFlags.NEEDS_CSUM | (VirtioNetFlags.UDP_TUNNEL_CSUM if sealed else 0),
        gso_type=kind,
        gso_size=given["gso_size"],
        csum_start=given["csum_start"],
        csum_offset=given["csum_offset"],
        outer_th_offset=layout.transport_header,
        inner_nh_offset=given["inner_network_header"],
    )


@pytest.mark.parametrize("record", UDP_TUNNELS, ids=lambda record: record["name"])
def test_tunnel_fields_say_what_the_port_would(record):
    made = run(tunnel_header(record), vectorset.frame(record), header_size=24)
    assert made.to_list() == vectorset.outputs(record)


class TestTunnelRefused:
    record = next(r for r in UDP_TUNNELS if r["tunnel"] == "vxlan" and r["inner_l4"] == "tcp")
    header = tunnel_header(record)
    frame = vectorset.frame(record)

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"gso_type": 0x61}, "gso_type"),
            ({"gso_type": 0x20}, "gso_type"),
            ({"gso_type": 0x23}, "gso_type"),
            ({"flags": 0}, "flags"),
            ({"outer_th_offset": 33}, "outer_th_offset"),
            ({"inner_nh_offset": 41}, "inner_nh_offset"),
            ({"csum_start": 83}, "csum_start"),
            ({"csum_start": 85}, "csum_start"),
        ],
    )
    def test_header(self, fields, field):
        found = refused(change(self.header, **fields), self.frame, header_size=24)
        assert found[1] == field

    def test_no_udp_header(self):
        header = change(self.header, csum_start=62, inner_nh_offset=42, outer_th_offset=34)
        found = refused(header, vectorset.frame(TCP4), header_size=24)
        assert found[:2] == (Reason.GSO_TYPE, "gso_type")
