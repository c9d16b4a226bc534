"""Drawings of packets."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from gso.cli import main
from gso.svg import Box, Mark, packet_drawing

CAPTURE = Path(__file__).parents[1] / "kernel/data/incident-patched.pcapng"
SVG = "{http://www.w3.org/2000/svg}"


def rectangles(text: str) -> list[tuple[float, float]]:
    """(x, width) of each header."""
    root = ET.fromstring(text)
    found = [group.find(f"{SVG}rect") for group in root.iter(f"{SVG}g")]
    return [(float(one.get("x")), float(one.get("width"))) for one in found]


def test_headers_are_to_scale():
    boxes = [
        Box(100, 120, "a", "outer"),
        Box(120, 160, "b", "inner"),
        Box(160, 9999, "c", "data", True),
    ]
    text = packet_drawing(boxes, [Mark(120, "here"), Mark(130, "should", "right")])
    (a, wide), (b, wider), (c, _) = rectangles(text)
    assert round(wider / wide, 2) == 2
    assert round((c - a) / (b - a), 2) == 3
    assert "not to scale" in text


def test_nothing_in_a_packet_becomes_markup():
    text = packet_drawing([Box(0, 50, "<script>&", "link")], [Mark(3, "<b>")], "<i>")
    ET.fromstring(text)
    assert "<script>" not in text
    assert "<b>" not in text


def test_explain_draws_every_header_and_offset(tmp_path, capsys):
    path = tmp_path / "packet.svg"
    main(["explain", str(CAPTURE), "--tunnel-port", "5501=gue", "--svg", str(path)])
    capsys.readouterr()
    text = path.read_text()
    assert len(rectangles(text)) == 6
    for word in ("outer udp", "gue", "inner tcp", "inner_mac_header 46", "transport_header 34"):
        assert word in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_boxes_of_unknown_size_have_no_places_and_long_titles_several_lines():
    boxes = [Box(0, 20, "bridge", "tunnel", size=""), Box(20, 40, "IPv4", "outer", size="20 bytes")]
    text = packet_drawing(boxes, (), "over ".join(["a tunnel "] * 20))
    root = ET.fromstring(text)
    shown = [one.text or "" for one in root.iter(f"{SVG}text")]
    assert not [one for one in shown if one.isdigit()]
    assert len([one for one in shown if " over " in one]) == 3
    assert max(map(len, shown)) <= 100
    assert [one.text for one in root.iter(f"{SVG}title")] == ["bridge", "IPv4: 20 bytes"]
