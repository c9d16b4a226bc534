"""Virtio headers made of layouts, and many packets with such headers segmented at once."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, Dot1Q, Ether

import gso
import vectorset
from gso import GsoError, Reason, VirtioNetHeader
from gso.segmentation._vnet_batch import OTHER, complete_batch, tell_work

PPPOE = bytes(12) + bytes.fromhex("8864 1100 0001 05e6 0021")


def rows(headers):
    made = np.zeros(len(headers), gso.VNET_DTYPE)
    for row, header in zip(made, headers, strict=True):
        row["padding"] = 0
        for name in gso.VNET_DTYPE.names:
            if name != "padding":
                row[name] = getattr(header, name)
    return made


def recorded():
    """Packets that a kernel got with a virtio header, those that it refused, too."""
    for record in vectorset.records():
        if (injected := record.get("injected")) and injected.get("headers"):
            frame = bytes.fromhex(injected["headers"]) + bytes(range(250)) * 12
            yield VirtioNetHeader.unpack(bytes.fromhex(injected["vnet_hdr"])), frame


def mixed():
    """Packets of all ways through the code, and their headers."""
    big = {
        "tcp4": Ether() / IP(id=3) / TCP(flags="A") / bytes(4000),
        "tcp6": Ether() / IPv6() / TCP(flags="A") / bytes(4000),
        "udp": Ether() / IP() / UDP(dport=9) / bytes(4000),
        "vlan": Ether() / Dot1Q(vlan=5) / IP() / TCP(flags="A") / bytes(4000),
        "port of a tunnel": Ether() / IP() / UDP(dport=4789) / bytes(4000),
    }
    frames = {name: bytes(packet) for name, packet in big.items()}
    l4 = {"tcp4": (1, 34, 16), "tcp6": (4, 54, 16), "udp": (5, 34, 6), "vlan": (1, 38, 16)}
    l4["port of a tunnel"] = (5, 34, 6)
    for name, frame in frames.items():
        kind, start, offset = l4[name]
        yield VirtioNetHeader(1, kind, 0, 1000, start, offset), frame
        yield VirtioNetHeader(1, kind, start, 1, start, offset), frame
        yield VirtioNetHeader(1, kind, 60, 5000, start, offset), frame
        yield VirtioNetHeader(1, 0, 60, 0, start, offset), frame
        yield VirtioNetHeader(0, kind, 60, 1000), frame
        yield VirtioNetHeader(1, kind | 0x80, 60, 1000, start, offset), frame
        yield VirtioNetHeader(1, kind, 9999, 1000, start, offset), frame
        yield VirtioNetHeader(1, kind, 60, 1000, start - 2, offset), frame
        yield VirtioNetHeader(1, kind, 60, 1000, start, offset ^ 22), frame
        yield VirtioNetHeader(1, kind ^ 5, 60, 1000, start, offset), frame
    yield VirtioNetHeader(), frames["udp"][:100]
    yield VirtioNetHeader(), b""
    yield VirtioNetHeader(1, 1, 0, 1000, 34, 16), b""


def one_by_one(header, frame, checksum):
    try:
        return gso.segment_vnet(header.pack(24) + frame, header_size=24, checksum=checksum)
    except GsoError as error:
        return error


def test_the_sum_in_each_frame_is_believed_right_or_wrong():
    """Frames of one flow that continue each other, each with a sum of its own in its header."""
    frames, size = [], 500
    for i in range(6):
        frame = bytearray(
            bytes(Ether() / IP(id=3 * i) / TCP(flags="A", seq=1500 * i)) + bytes(1500)
        )
        frame[50:52] = (i * 4099).to_bytes(2, "big")
        frames.append(bytes(frame))
    header = VirtioNetHeader(1, 1, 54, size, 34, 16)
    got = gso.segment_vnet_batch(frames, rows([header] * 6))
    assert got.to_list() == [
        bytes(one) for frame in frames for one in gso.segment_vnet(header.pack() + frame)
    ]


@pytest.mark.parametrize("checksum", ["complete", "partial"])
def test_a_batch_is_its_packets_one_by_one(checksum):
    kernel = list(recorded())
    assert len(kernel) > 50
    cases = [*mixed(), *kernel[:400]]
    headers, frames = rows([header for header, _ in cases]), [frame for _, frame in cases]
    expected = [one_by_one(header, frame, checksum) for header, frame in cases]
    got = gso.segment_vnet_batch(frames, headers, checksum=checksum, errors="pass")
    refused = 0
    for i, one in enumerate(expected):
        mine = got[got.parent == i].to_list()
        if isinstance(one, GsoError):
            refused += 1
            assert mine == [frames[i]]
            with pytest.raises(GsoError) as caught:
                gso.segment_vnet_batch(frames[i : i + 1], headers[i : i + 1], checksum=checksum)
            assert str(caught.value) == f"frame 0: {one}"
            assert vars(caught.value) == vars(one)
        else:
            assert mine == one.to_list()
            alone = gso.segment_vnet_batch([frames[i]], headers[i : i + 1], checksum=checksum)
            assert alone.to_list() == mine
    assert refused > 10
    assert refused < len(cases) - 10
    assert got.parent.tolist() == sorted(got.parent.tolist())


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"VNET_DTYPE and shape \(1,\)"):
        gso.segment_vnet_batch([b"x"], np.zeros(2, gso.VNET_DTYPE))
    with pytest.raises(ValueError, match='errors is "raise" or "pass"'):
        gso.segment_vnet_batch([], np.zeros(0, gso.VNET_DTYPE), errors="mark")
    assert len(gso.segment_vnet_batch([], np.zeros(0, gso.VNET_DTYPE))) == 0


def test_headers_that_are_not_those_of_the_packets():
    frames = gso.Frames(bytes(100), [0, 100])
    for row in (b"", bytes(23), bytes(48)):
        with pytest.raises(ValueError, match=f"{len(row)} bytes of virtio headers for 1 packets"):
            tell_work(frames, row, "raw", "6.12")
        with pytest.raises(ValueError, match=f"{len(row)} bytes of virtio headers for 1 packets"):
            complete_batch(frames, row)
    for start, offset in ((99, 0), (0, 50), (20, 79), (0xFFFF, 0xFFFF)):
        row = rows([VirtioNetHeader(1, 0, 0, 0, start, offset)]).tobytes()
        assert tell_work(frames, row, "raw", "6.12")[0].tolist() == [OTHER]
        with pytest.raises(ValueError, match="packet 0 has no checksum where"):
            complete_batch(frames, row)
    row = rows([VirtioNetHeader(1, 0, 0, 0, 20, 78)]).tobytes()
    assert complete_batch(frames, row)[0][98:] == b"\xff\xff"


class TestHeadersOfCoalesced:
    PACKETS = (
        Ether() / IP() / TCP(flags="A") / bytes(4000),
        Ether() / IPv6() / TCP(flags="A") / bytes(4000),
        Ether() / Dot1Q() / IP() / UDP(dport=9, chksum=1) / bytes(4000),
        Ether() / IPv6() / UDP(dport=9, chksum=1) / bytes(4000),
    )

    def merged(self, **options):
        wire = gso.Frames.concat([gso.segment(bytes(packet), 1000) for packet in self.PACKETS])
        wire = gso.Frames.concat([wire, [b"alone"]])
        return wire, gso.coalesce(wire, **options)

    def test_the_kernel_would_make_the_same_segments_of_them(self):
        wire, merged = self.merged()
        headers = merged.vnet_headers()
        assert len(merged) == 5
        assert headers["gso_size"].tolist() == [1000] * 4 + [0]
        assert not any(headers[4].tolist())
        assert gso.segment_vnet_batch(merged, headers).to_list() == wire.to_list()
        for i in range(4):
            one = headers[i : i + 1].tobytes()[:10] + bytes(merged[i])
            assert gso.segment_vnet(one, byteorder="native") == wire[4 * i : 4 * i + 4]

    def test_parts_and_pickles_keep_them(self):
        _, merged = self.merged()
        headers = merged.vnet_headers().tolist()
        assert merged[1:3].vnet_headers().tolist() == headers[1:3]
        assert merged[[3, 0]].vnet_headers().tolist() == [headers[3], headers[0]]
        assert pickle.loads(pickle.dumps(merged)).vnet_headers().tolist() == headers

    def test_complete_checksums_are_refused(self):
        _, merged = self.merged(checksum="complete")
        with pytest.raises(ValueError, match='checksum="partial"'):
            merged.vnet_headers()

    def test_what_has_no_words_is_refused(self):
        inner = IP() / TCP(flags="A") / bytes(4000)
        ppp = PPPOE[:-4] + (len(bytes(inner)) + 2).to_bytes(2, "big") + PPPOE[-2:]
        for frame in (bytes(Ether() / IP() / GRE() / inner), ppp + bytes(inner)):
            merged = gso.coalesce(gso.segment(frame, 1000))
            assert len(merged) == 1
            assert merged.describable().tolist() == [False]
            with pytest.raises(GsoError, match="frame 0: a virtio header cannot") as caught:
                merged.vnet_headers()
            assert caught.value.reason is Reason.UNSUPPORTED

    def test_tunnels(self):
        ethernet = [bytes(frame) for frame in gso.segment(bytes(self.PACKETS[0]), 1000)]
        ends = {"source": "::1", "destination": "::2", "checksum": True}
        merged = gso.coalesce(
            gso.encapsulate(ethernet, "geneve", port=7000, **ends), tunnel_ports={7000: "geneve"}
        )
        assert len(merged) == 1
        assert merged.describable(tunnels=False).tolist() == [False]
        with pytest.raises(GsoError, match="frame 0: a virtio header cannot describe"):
            merged.vnet_headers(tunnels=False)
        header = merged.vnet_headers()[0]
        assert header["gso_type"] == 0x41
        assert header["flags"] == 9
        assert (header["outer_th_offset"], header["inner_nh_offset"]) == (54, 84)
        assert (header["csum_start"], header["csum_offset"]) == (104, 16)

    @pytest.mark.parametrize("ends", [("::1", "::2"), ("192.0.2.1", "192.0.2.2")])
    @pytest.mark.parametrize("tunnel", ["vxlan", "geneve"])
    def test_outer_checksums_are_what_the_segmenter_starts_from(self, tunnel, ends):
        way = {"source": ends[0], "destination": ends[1], "checksum": True}
        (whole,) = gso.encapsulate([bytes(self.PACKETS[0])], tunnel, **way)
        frames = gso.segment(whole, 1000)
        merged = gso.coalesce(frames)
        assert len(merged) == 1
        assert gso.segment_vnet_batch(merged, merged.vnet_headers()) == frames
        outer = gso.parse(merged[0]).transport_header
        addresses = bytes(merged[0])[outer - 8 if "." in ends[0] else outer - 32 : outer]
        source, destination = addresses[: len(addresses) // 2], addresses[len(addresses) // 2 :]
        pseudo = gso.pseudo_header(source, destination, 17, len(merged[0]) - outer)
        assert int.from_bytes(merged[0][outer + 6 : outer + 8], "big") == pseudo
