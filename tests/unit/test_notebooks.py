"""What notebooks show: bounded, escaped, and well-formed HTML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from hypothesis import given

import gso
import packets
from gso.html import html_table, html_text

SVG = "{http://www.w3.org/2000/svg}"
EVIL = "<script>alert(1)</script>\x1b[2J&\x00" + "x" * 10_000
FRAME = bytes.fromhex(
    "020000000002 020000000001 0800 4500002800010000400600000a0000010a000002"
    "9c40005000000001000000015010020000000000"
)
LINE = (
    b"0xff1230a71e7310e8 0 [<b>:7] ip_output netns=4026531840 mark=0x0 iface=2(eth0) proto=0x0800 "
    b"mtu=1500 len=4000 10.0.0.1:40000->10.0.0.2:80(tcp)\n"
)


class Reader(HTMLParser):
    """Finds the tags, and that each is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], set(), ""

    def handle_starttag(self, tag, attrs):
        assert not attrs
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    assert reader.seen <= {"p", "table", "tr", "th", "td", "pre"}
    assert len(html) < 60_000
    return reader.text


@pytest.fixture
def capture(tmp_path):
    frames = [FRAME + bytes(i) for i in range(500)]
    whole = gso.Frames.from_list(frames)
    gso.write_capture(tmp_path / "a.pcapng", whole)
    return gso.read_capture(tmp_path / "a.pcapng")


def test_frames(capture):
    text = read(capture.frames._repr_html_())
    assert "<gso.Frames: 500 frames" in text
    assert "0200 0000 0002 0200 0000 0001 0800" in text
    assert "and 490 more" in text
    assert "more" not in read(gso.Frames.from_list([b"", b"abc"])._repr_html_())
    assert read(gso.Frames()._repr_html_())
    assert "Coalesced" in read(gso.coalesce(capture.frames[:3])._repr_html_())


def test_layout():
    text = read(gso.parse(FRAME)._repr_html_())
    assert "transport_header34" in text
    assert "l4TCP" in text
    assert "inner_mac_header" not in text


def tunnelled(kind):
    ends = {"source": "192.0.2.1", "destination": "192.0.2.2"}
    return bytes(gso.encapsulate([FRAME], kind, **ends)[0])


LAYOUTS = [
    (FRAME, {}, ["ethernet", "ipv4", "tcp", "payload"]),
    (FRAME[14:], {"link_type": "raw"}, ["ipv4", "tcp", "payload"]),
    (bytes(14) + FRAME[12:], {"link_type": "linux_sll"}, ["linux_sll", "ipv4", "tcp", "payload"]),
    (tunnelled("gue"), {}, ["ethernet", "ipv4", "gue", "inner ipv4", "inner tcp", "payload"]),
    (
        tunnelled("vxlan"),
        {},
        ["ethernet", "ipv4", "vxlan", "inner ethernet", "inner ipv4", "inner tcp", "payload"],
    ),
    (FRAME[:12] + b"\x08\6" + bytes(28), {}, ["ethernet", "payload"]),
]


@pytest.mark.parametrize(("frame", "options", "names"), LAYOUTS)
def test_a_layout_is_drawn_to_scale(frame, options, names):
    layout = gso.parse(frame, **options)
    svg = layout._repr_svg_()
    assert len(svg) < 60_000
    root = ET.fromstring(svg)
    titles = [one.find(f"{SVG}title").text for one in root.iter(f"{SVG}g")]
    assert [one.partition(":")[0] for one in titles] == names
    starts = [int(one.split("from byte ")[1].split()[0]) for one in titles]
    assert starts == sorted(starts)
    assert starts[0] == layout.mac_header
    assert starts[-1] == layout.payload
    text = " ".join(one.text or "" for one in root.iter(f"{SVG}text"))
    for name in ("network_header", "transport_header", "inner_mac_header"):
        at = getattr(layout, name)
        assert (f"{name} {at}" in text) == (at is not None)


@given(packets.frames())
def test_any_layout_can_be_drawn(frame_and_link):
    frame, link_type = frame_and_link
    try:
        layout = gso.parse(frame, link_type=link_type)
    except gso.GsoError:
        return
    svg = layout._repr_svg_()
    assert len(svg) < 60_000
    assert ET.fromstring(svg).tag == f"{SVG}svg"


def test_captures_have_a_short_repr(capture):
    assert repr(capture) == f"<gso.Capture: 500 packets, {capture.frames.nbytes} bytes, pcapng>"
    assert "and 490 more" in read(capture._repr_html_())


def test_comments_of_captures_are_escaped(capture):
    some = capture[:2]
    object.__setattr__(some, "comments", [EVIL, None])
    html = some._repr_html_()
    assert "<script" not in html
    assert "\x1b" not in read(html)


def test_findings():
    found = gso.validate(FRAME[:20] + b"\xff" + FRAME[21:])
    assert len(found)
    text = read(found._repr_html_())
    assert found[0].rule in text
    assert found[0].message[:20] in read(found[0]._repr_html_())


def test_diagnosis():
    text = read(gso.diagnose(gso.read_trace(LINE * 3))._repr_html_())
    assert "3 lines" in text


def test_what_is_long_or_evil():
    text = read(html_table(EVIL, ["a<b"], [[EVIL]] * 50, 50))
    assert "a<b" in text
    assert "and 40 more" in text
    assert read(html_text("<b>\n" * 30_000)).endswith("characters more")
    assert read(html_text("y" * 30_000)).endswith("and 10000 characters more")


def test_a_repr_is_short(capture):
    trace = gso.read_trace(LINE * 3)
    diagnosis = gso.diagnose(trace)
    assert repr(trace) == "<gso.Trace: 3 events of pwru>"
    assert repr(diagnosis).startswith("<gso.Diagnosis: 0 cases in 3 events of pwru")
    wrong = gso.SkbState(
        transport_header=0x46, inner_mac_header=0x44, inner_network_header=0x52,
        network_header=0x32, len=1558,
    )  # fmt: skip
    found = gso.validate(wrong)
    assert repr(found[0]) == f"<gso.Finding: {found[0]}>"
    assert repr(found).startswith("[<gso.Finding: tunnel-header-negative: tnl_hlen is -2")
    for one in (trace, diagnosis, *found, capture, capture.frames, gso.describe(FRAME)):
        assert len(repr(one)) < 200
