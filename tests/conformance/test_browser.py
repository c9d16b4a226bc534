"""The page and the drawing as a real browser shows them."""

from __future__ import annotations

import re
import subprocess
from html import escape
from pathlib import Path

import pytest

from gso.cli import main

DATA = Path(__file__).parents[1] / "kernel/data"
# Requests that the browser still makes to its maker, whatever it shows.
OWN = re.compile(r"https?://([\w-]+\.)*(google|googleapis|gstatic|gvt1)\.com[/:]")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture
def browse(chromium, tmp_path):
    """Load a file; returns the document that came of it, and what was fetched and complained of."""

    def run(path: Path, *options: str) -> tuple[str, list[str], str]:
        log = tmp_path / "net.json"
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        logging = ("--enable-logging=stderr", f"--log-net-log={log}")
        done = subprocess.run(
            [chromium, *QUIET, profile, *logging, *options, path.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        found = re.findall(r'"url":\s*"((?:https?|ftp|wss?)://[^"]*)"', log.read_text())
        fetched = [url for url in found if not OWN.match(url)]
        complaints = "\n".join(
            line for line in done.stderr.splitlines() if "CONSOLE" in line or "SEVERE" in line
        )
        return done.stdout, fetched, complaints

    return run


def test_the_page_shows_the_drawing_and_the_table(browse, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["diagnose", str(DATA / "incident-unpatched.trace"), "--html", str(page)]) == 1
    capsys.readouterr()
    document, fetched, complaints = browse(page, "--dump-dom")
    assert fetched == []
    assert complaints == ""
    assert re.search(r"<text[^>]*>inner_mac_header should be 268</text>", document)
    assert re.search(r'<tr class="wrong">(<td.*?>.*?</td>)+</tr>', document)
    assert "skb_set_inner_mac_header(skb, skb_inner_network_offset(skb))" in document


@pytest.mark.parametrize("width", [1200, 400])
def test_the_page_fits_its_window(browse, tmp_path, capsys, width):
    """A script of the test's own, which the page has none of, writes down how wide it is."""
    page = tmp_path / "page.html"
    logs = [str(DATA / f"incident-{name}.trace") for name in ("unpatched", "patched")]
    assert main(["diagnose", *logs, "--html", str(page)]) == 1
    capsys.readouterr()
    text = page.read_text()
    assert "<script" not in text
    assert "prefers-color-scheme: dark" in text
    framed = tmp_path / "frame.html"
    framed.write_text(
        f'<iframe id="f" style="width: {width}px; height: 900px; border: 0" '
        f'srcdoc="{escape(text)}">'
        '</iframe><p id="w"></p><script>document.getElementById("f").onload = e => {'
        'document.getElementById("w").textContent = '
        '"is " + e.target.contentDocument.documentElement.scrollWidth; }</script>'
    )
    document, fetched, _ = browse(framed, "--dump-dom")
    assert fetched == []
    measured = re.search(r'<p id="w">is (\d+)</p>', document)
    assert measured
    assert width - 50 < int(measured[1]) <= width  # a scroll bar takes some of it


def test_the_drawing_of_a_packet_is_a_picture_of_its_own(browse, tmp_path, capsys):
    drawing, picture = tmp_path / "packet.svg", tmp_path / "packet.png"
    capture = DATA / "incident-patched.pcapng"
    main(["explain", str(capture), "--tunnel-port", "5501=gue", "--svg", str(drawing)])
    capsys.readouterr()
    _, fetched, complaints = browse(drawing, f"--screenshot={picture}", "--window-size=1000,300")
    assert fetched == []
    assert complaints == ""
    header = picture.read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    assert int.from_bytes(header[16:20], "big") == 1000
    # A parser's complaint would be white and black; headers have their colours.
    assert picture.stat().st_size > 5000
