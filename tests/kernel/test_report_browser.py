"""The page in a real browser: Debian's Chromium, without a screen."""

from __future__ import annotations

import json
import lzma
import os
import re
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from gso.kernel.report.palette import DARK, LIGHT
from gso.kernel.report.write import write
from PIL import Image

STORED = Path(__file__).parent / "data" / "results-applications.json.xz"
WIDTH, HEIGHT = 1100, 900
# As root there is no sandbox; and nothing of the browser's own may go out.
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", f"--window-size={WIDTH},{HEIGHT}", "--hide-scrollbars"),
)


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium")
    if not found:
        if os.environ.get("CI") == "true":
            pytest.fail("make test-packages installs chromium")
        pytest.skip("chromium is not installed: make test-packages")
    return found


@pytest.fixture
def served(tmp_path):
    """The report of a real run on loopback; returns its address, and what was asked for."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "results.json").write_bytes(lzma.decompress(STORED.read_bytes()))
    write(folder)
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_):
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/report.html", asked
    server.shutdown()
    server.server_close()


def browse(chromium: str, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = subprocess.run(
        [chromium, *OPTIONS, profile, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_page_asks_for_nothing_and_complains_of_nothing(chromium, served, tmp_path):
    address, asked = served
    done = browse(chromium, tmp_path, "--dump-dom", address)
    assert set(asked) == {"/report.html"}
    assert "CONSOLE" not in done.stderr
    results = json.loads(lzma.decompress(STORED.read_bytes()))
    for scenario in results["kernels"][0]["scenarios"]:
        assert scenario["name"] in done.stdout
    # Faults that the parser had to repair would show as elements out of their places.
    assert done.stdout.count("<svg") == done.stdout.count("</svg>") == 4


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_has_both_looks(chromium, served, tmp_path, dark):
    address, _ = served
    picture = tmp_path / "page.png"
    look = ["--blink-settings=preferredColorScheme=0"] if dark else []
    browse(chromium, tmp_path, *look, f"--screenshot={picture}", address)
    page = Image.open(picture).convert("RGB")
    assert page.size == (WIDTH, HEIGHT)
    # A corner is paper; the rest must have ink, and the colours of both kernels.
    assert (sum(page.getpixel((0, 0))) < 150) is dark
    seen = colours(page)
    unpatched, patched = (
        ((255, 154, 87), (108, 182, 255)) if dark else ((184, 72, 11), (11, 98, 196))
    )
    assert {unpatched, patched} <= seen


@pytest.mark.parametrize("dark", [False, True])
def test_the_drawing_of_headers_has_both_looks(chromium, tmp_path, dark):
    (tmp_path / "results.json").write_bytes(lzma.decompress(STORED.read_bytes()))
    write(tmp_path)
    page = (tmp_path / "report.html").read_text()
    style = re.search(r"<style>.*?</style>", page, re.DOTALL)
    drawing = re.search(r'<div class="drawing">.*?</div>', page, re.DOTALL)
    assert style
    assert drawing
    alone = tmp_path / "drawing.html"
    alone.write_text(f"<!DOCTYPE html><head>{style[0]}</head><body>{drawing[0]}</body>")
    picture = tmp_path / "drawing.png"
    look = ["--blink-settings=preferredColorScheme=0"] if dark else []
    small = "--window-size=1100,400"
    browse(chromium, tmp_path, *look, small, f"--screenshot={picture}", alone.as_uri())
    seen = colours(Image.open(picture).convert("RGB"))
    ours, others = (DARK, LIGHT) if dark else (LIGHT, DARK)
    for name in ("outer", "tunnel", "inner", "data", "paper", "bad", "good"):
        assert rgb(ours[name]) in seen, name
    for name in ("outer", "tunnel", "inner", "data"):
        assert rgb(others[name]) not in seen, name


def colours(picture: Image.Image) -> set[tuple[int, ...]]:
    return {colour for _, colour in picture.getcolors(picture.width * picture.height)}


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))
