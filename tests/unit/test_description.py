"""One frame shown: as text, drawing, HTML, and in types that JSON knows."""

from __future__ import annotations

import json

import pytest

import gso
import handmade
from gso.cli import main
from gso.commands.usage import terminal_width

FRAME = handmade.ethernet(handmade.tcp(payload=b"<script>" * 100))


def test_text_is_what_the_command_prints(tmp_path, capsys):
    path = tmp_path / "in.pcap"
    gso.write_capture(path, [FRAME])
    assert main(["explain", str(path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    text = gso.describe(FRAME).to_text(terminal_width()).splitlines()
    assert text[0] == f"frame: {len(FRAME)} bytes (ethernet)"
    assert text[1:] == printed[1:]


def test_the_dict_is_what_the_command_says_of_a_frame(tmp_path, capsys):
    path = tmp_path / "in.pcap"
    gso.write_capture(path, [FRAME])
    assert main(["explain", "--json", str(path)]) == 0
    told = json.loads(capsys.readouterr().out)
    described = gso.describe(FRAME).to_dict()
    assert json.loads(json.dumps(described)).items() <= told.items()
    assert described["layout"]["transport_header"] == 34
    assert set(told) - set(described) == {"schema", "packet", "timestamp", "interface", "comment"}


def test_wrong_fields_and_tunnels_are_shown():
    ends = {"source": "192.0.2.1", "destination": "192.0.2.2", "port": 5501}
    [outer] = gso.encapsulate([FRAME], "gue", **ends)
    frame = bytearray(outer)
    frame[24:26] = b"\1\1"
    shown = gso.describe(frame, tunnel_ports={5501: "gue"})
    names = "outer ethernet / outer ipv4 / outer udp / gue / inner ipv4 / inner tcp / payload"
    assert repr(shown) == f"<gso.Description: {names}>"
    fields = [field for header in shown.to_dict()["headers"] for field in header["fields"]]
    [wrong] = [field for field in fields if field.get("status") == "wrong"]
    assert (wrong["name"], wrong["offset"]) == ("checksum", 24)
    assert wrong["verdict"] in shown.to_text()
    assert shown.to_dict()["layout"]["tunnel"] == "GUE"
    assert "gue" not in gso.describe(frame, tunnel_ports={5501: None}).to_text()


def test_html_is_a_drawing_and_the_text_and_escaped():
    page = gso.describe(FRAME)._repr_html_()
    assert page.startswith("<svg")
    assert "<pre>frame: " in page
    assert "script" not in page
    narrow = gso.describe(FRAME).to_text(width=40)
    assert max(map(len, narrow.splitlines())) <= 100


@pytest.mark.parametrize("frame", [b"", b"\1", bytes(14), bytes(65000)])
def test_what_is_no_packet_is_shown_too(frame):
    shown = gso.describe(frame, link_type="raw")
    assert shown.to_dict()["captured"] == len(frame)
    assert shown.to_dict()["problem"] or shown.to_dict()["layout"]
    assert len(shown.to_html()) < 60_000


def test_other_link_types_are_refused():
    with pytest.raises(ValueError, match="link_type is one of"):
        gso.describe(FRAME, link_type="user0")
    with pytest.raises(ValueError, match="link_type is one of"):
        gso.validate(FRAME, link_type="user0")
