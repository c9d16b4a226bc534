"""gso coalesce: a capture's segments become super-packets, everything else stays."""

import io
import json
import struct

import numpy as np
import pytest

import capture_files as build
import gso
import handmade
import vectorset
from gso.cli import main
from gso.rewriting.coalesce import coalesce_capture
from gso.rewriting.segment import segment_capture
from handmade import OTHER, ethernet, segment, stream, with_id


def merge(data, **options):
    target = io.BytesIO()
    result = coalesce_capture(io.BytesIO(data), target, **options)
    return gso.read_capture(io.BytesIO(target.getvalue())), result


def capture(tmp_path, frames, name="in.pcapng", **options):
    path = tmp_path / name
    gso.write_capture(path, frames, **options)
    return path


def test_command(tmp_path, capsys):
    frames = [*stream(3), b"other", *stream(2, source=OTHER)]
    times = np.arange(6) * 1000 + 5
    source = capture(tmp_path, frames, timestamps=times)
    target = tmp_path / "out.pcapng"
    assert main(["coalesce", str(source), str(target), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == {
        "schema": "gso.coalesce/1", "damage": None,
        "packets": 6, "merged": 5, "super_packets": 2, "most_segments": 3,
        "not_looked_into": {}, "truncated": None, "written": 3, "unchanged": 1, "notes": [],
    }  # fmt: skip
    made = gso.read_capture(target)
    assert made.timestamps.tolist() == times[[0, 3, 4]].tolist()
    assert made.original_lengths.tolist() == [len(frame) for frame in made.frames]
    assert bytes(made.frames[1]) == b"other"
    # and back
    again = tmp_path / "again.pcapng"
    assert main(["segment", str(target), str(again), "--gso-size", "100", "--mtu", "68"]) == 0
    assert gso.read_capture(again).frames.to_list() == frames
    assert "2 super-packets became 5 segments" in capsys.readouterr().out


def test_report(tmp_path, capsys):
    source = capture(tmp_path, stream(4))
    assert main(["coalesce", str(source), str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == (
        "4 packets read, 1 written\n"
        "  4 packets became 1 super-packet of up to 4 segments\n"
        "  0 packets unchanged\n"
    )


@pytest.mark.parametrize("order", build.ORDERS)
@pytest.mark.parametrize("ticks", build.RESOLUTIONS)
def test_pcap(order, ticks):
    data = build.pcap([(5, f) for f in stream(3)], order=order, ticks=ticks)
    made, _ = merge(data)
    assert made.format == "pcap"
    assert len(made) == 1
    assert gso.segment(made.frames[0], 100).to_list() == stream(3)


def test_readers_must_not_cut_off_what_has_grown():
    frames = [segment(i, b"x" * 1400, size=1400) for i in range(46)]
    data = bytearray(build.pcap([(5, frame) for frame in frames], order="<"))
    data[16:20] = struct.pack("<I", 1514)
    target = io.BytesIO()
    coalesce_capture(io.BytesIO(data), target)
    assert struct.unpack_from("<I", target.getvalue(), 16)[0] >= len(target.getvalue())


def test_interfaces_and_comments():
    items = [(1, b"first")]
    data = (
        build.section("<")
        + build.interface("<") + build.interface("<")
        + b"".join(
            build.enhanced(frame, order="<", which=number, items=items if not i else [])
            for i, frame in enumerate(stream(3)) for number in (0, 1)
        )
    )  # fmt: skip
    made, result = merge(data, timeout=None)
    assert result.super_packets == 2
    assert made.interface_ids.tolist() == [0, 1]
    assert made.comments == ["first", "first"]


def test_timeout(tmp_path):
    times = np.array([0, 1, 2000, 2001]) * 1000
    source = capture(tmp_path, stream(4), timestamps=times)
    made, _ = merge(source.read_bytes())
    assert made.timestamps.tolist() == times[[0, 2]].tolist()
    made, _ = merge(source.read_bytes(), timeout=None)
    assert len(made) == 1


def test_complete_checksums(tmp_path):
    source = capture(tmp_path, stream(4))
    made, _ = merge(source.read_bytes())
    assert gso.segment(made.frames[0], 0).to_list() == made.frames.to_list()


def test_unknown_link_type(tmp_path, capsys):
    source = capture(tmp_path, stream(2), link_type="user0")
    assert main(["coalesce", str(source), str(tmp_path / "out")]) == 2
    assert "2 packets cannot be looked into: link type user0" in capsys.readouterr().out
    assert gso.read_capture(tmp_path / "out").frames.to_list() == stream(2)


def test_link_headers_that_are_skipped_must_agree(tmp_path):
    heads = [b"\x08\0" + bytes(18), b"\x08\0" + bytes(17) + b"\1"]
    frames = [heads[i % 2] + frame[14:] for i, frame in enumerate(stream(4))]
    source = capture(tmp_path, frames, link_type="linux_sll2")
    made, result = merge(source.read_bytes())
    assert result.merged == 0
    frames = [heads[0] + frame[14:] for frame in stream(4)]
    made, _ = merge(capture(tmp_path, frames, link_type="linux_sll2").read_bytes())
    assert len(made) == 1
    assert bytes(made.frames[0][:20]) == heads[0]


def test_cut_off(tmp_path, capsys):
    source = capture(tmp_path, stream(4))
    source.write_bytes(source.read_bytes()[:-30])
    assert main(["coalesce", str(source), str(tmp_path / "out")]) == 1
    assert "the input is cut off" in capsys.readouterr().out


def test_wrong_usage(tmp_path, capsys):
    source = capture(tmp_path, stream(2))
    assert main(["coalesce", str(source), str(tmp_path / "out"), "--max-size", "600000"]) == 2
    assert "at most 524280" in capsys.readouterr().err


@pytest.mark.parametrize("order", build.ORDERS)
def test_super_packets_go_on_where_the_file_is_read_in_pieces(order):
    """No more are written than if all of the capture had been merged at once."""
    two = [stream(20000), stream(20000, source=OTHER)]
    frames = [frame for pair in zip(*two, strict=True) for frame in pair]
    for data in (
        build.pcap([(5, frame) for frame in frames], order=order),
        build.section(order) + build.interface(order)
        + b"".join(build.enhanced(frame, order=order) for frame in frames),
    ):  # fmt: skip
        made, result = merge(data)
        whole = gso.coalesce(gso.Frames.from_list(frames), checksum="complete")
        assert made.frames.to_list() == whole.to_list()
        assert result.written == len(whole)
        assert result.packets == len(frames)


def test_what_is_kept_back_is_written_before_another_block_and_at_damage():
    frames = stream(4)
    blocks = [build.enhanced(frame, order="<") for frame in frames]
    start = build.section("<") + build.interface("<")
    made, _ = merge(start + blocks[0] + blocks[1] + build.interface("<") + blocks[2] + blocks[3])
    assert [len(frame) - 66 for frame in made.frames] == [200, 200]
    target = io.BytesIO()
    damaged = bytearray(blocks[2])
    damaged[4:8] = b"\1\0\0\0"
    with pytest.raises(gso.GsoError):
        coalesce_capture(io.BytesIO(start + blocks[0] + blocks[1] + damaged), target)
    made = gso.read_capture(io.BytesIO(target.getvalue()))
    assert [len(frame) - 66 for frame in made.frames] == [200]


class TestSegmentOptions:
    """Segment with ``gso segment`` the packets that ``gso coalesce`` made."""

    def run(self, tmp_path, frames, *words):
        source = capture(tmp_path, frames)
        target = tmp_path / "out.pcapng"
        sizes = ["--gso-size", "100", "--udp-size", "100", "--mtu", "68"]
        status = main(["segment", str(source), str(target), *sizes, *words])
        return status, gso.read_capture(target).frames.to_list()

    def test_fixed_ids(self, tmp_path, capsys):
        fixed, counting = stream(3, ident=7), stream(3, ident=7, fragment=0, source=OTHER)
        made = gso.coalesce(gso.Frames.from_list(fixed), fixed_ids=True, checksum="complete")
        loose = [f[:14] + with_id(f[14:], 7 + i, fragment=0) for i, f in enumerate(counting)]
        other = gso.coalesce(gso.Frames.from_list(loose), checksum="complete")
        frames = [bytes(made[0]), bytes(other[0])]
        status, back = self.run(tmp_path, frames, "--fixed-ids")
        assert (status, back) == (0, fixed + loose)  # without DF, IDs always count
        assert "2 super-packets became 6" in capsys.readouterr().out

    def test_header_checksums_that_a_device_was_to_fill_in(self, tmp_path, capsys):
        right = [segment(1), *vectorset.outputs(vectorset.record("gue-sit-csum/v6/exact3"))]
        tunnelled = vectorset.outputs(vectorset.record("gue-ipip-csum/v4/exact3"))
        inner = gso.parse(tunnelled[0], tunnel_ports=vectorset.PORTS).inner_network_header
        blank = [self.blank(segment(1), 14)]
        blank += [self.blank(frame, 14, inner) for frame in tunnelled]
        words = ("--tunnel-port", "5501=gue", "--gso-size", "2000")
        status, back = self.run(tmp_path, right + blank, *words)
        assert (status, back) == (0, [*right, segment(1), *tunnelled])
        assert f"{len(blank)} packets had the checksum completed" in capsys.readouterr().out

    @staticmethod
    def blank(frame, *headers):
        data = bytearray(frame)
        for at in headers:
            data[at + 10 : at + 12] = b"\0\0"
        return bytes(data)

    def test_ufo(self, tmp_path, capsys):
        whole = ethernet(with_id(handmade.udp(payload=bytes(range(250))), 3))
        status, back = self.run(tmp_path, [whole], "--ufo")
        assert status == 0
        assert back == gso.segment(whole, 96, gso_type=gso.GsoType.UDP).to_list()
        assert [len(f) - 34 for f in back] == [96, 96, 66]
        client, server = ("fd00::1", 1), ("fd00::2", 2)
        packets = [ethernet(handmade.udp(client, server, b"x" * 250)) for _ in range(50)]
        status, back = self.run(tmp_path, packets, "--ufo")
        assert (status, len(back)) == (0, 150)
        capsys.readouterr()

    def test_fragments_need_eight_bytes(self, tmp_path, capsys):
        source = capture(tmp_path, stream(1))
        words = ["segment", str(source), str(tmp_path / "out"), "--udp-size", "7", "--ufo"]
        assert main(words) == 2
        assert "8 bytes or more" in capsys.readouterr().err
        with pytest.raises(ValueError, match="8 bytes or more, udp_size is 7"):
            segment_capture(source, io.BytesIO(), udp_size=7, udp="ufo")

    def test_partial(self, tmp_path, capsys):
        whole = gso.coalesce(gso.Frames.from_list(stream(3)))
        waiting = gso.segment(segment(9), 0, checksum="partial").to_list()
        status, back = self.run(tmp_path, [*whole, *waiting], "--partial")
        expected = gso.segment(whole[0], 100, checksum="partial").to_list()
        assert (status, back) == (0, expected + waiting)
        assert "0 packets had the checksum completed" in capsys.readouterr().out
