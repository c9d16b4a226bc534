"""The documentation site: complete, each link leads somewhere, and nothing is fetched elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from gso.kernel.scenarios.faults import FAULTS
from gso.kernel.scenarios.registry import SCENARIOS
from PIL import Image

import gso
from gso.diagnosis.reasons import REASONS
from gso.traces.formats import READERS

pytest.importorskip("myst_parser", reason="make docs installs what builds the site")
pytest.importorskip("furo", reason="make docs installs what builds the site")

from making import contents, interface, pages, papers

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("site")]

ROOT = Path(__file__).parents[2]
DESKTOP, PHONE = 1300, 390
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--hide-scrollbars",
)
# Requests that the browser still makes to its maker, whatever it shows.
OWN = re.compile(r"https?://([\w-]+\.)*(google|googleapis|gstatic|gvt1)\.com[/:]")
# Loads each page in a frame of each width, and writes down how wide its content is.
MEASURE = """<!doctype html><title>measure</title><pre id="seen"></pre><script>
const seen = [];
const work = PAGES.flatMap(page => WIDTHS.map(width => [page, width]));
function next() {
  document.getElementById("seen").textContent = JSON.stringify(seen);
  if (!work.length) { document.title = "done"; return; }
  const [page, width] = work.shift();
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:900px;border:0`;
  frame.onload = () => {
    const root = frame.contentDocument.documentElement;
    seen.push([page, width, root.scrollWidth]);
    frame.remove();
    next();
  };
  frame.src = page;
  document.body.append(frame);
}
next();
</script>"""


class Links(HTMLParser):
    """What a page links to, what it fetches, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if "id" in named:
            self.anchors.add(named["id"])
        if tag == "a" and named.get("href"):
            self.links.append(named["href"])
        elif tag == "link" and named.get("rel") not in ("canonical",) and named.get("href"):
            self.fetched.append(named["href"])
        elif named.get("src"):
            self.fetched.append(named["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    path = os.pathsep.join(str(ROOT / name) for name in ("docs", "release", "benchmarks"))
    done = subprocess.run(
        [sys.executable, "-m", "making", str(folder)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def read(site):
    return {path: Links(path.read_text()) for path in sorted(site.rglob("*.html"))}


def test_every_page_is_there(site):
    for page in [one for several in contents.CONTENTS.values() for one in several]:
        assert (site / f"{page}.html").is_file(), page
    assert all((site / f"{path[:-3]}.html").is_file() for path in {**papers.texts()})


def test_every_public_name_is_described(read, site):
    anchors = read[site / "reference/library.html"].anchors
    assert {f"gso.{name}" for name in gso.__all__} <= anchors
    for module in interface.MODULES:
        assert any(anchor.startswith(f"{module}.") for anchor in anchors), module
    # What only the compiled module says, and what only its stub says.
    text = (site / "reference/library.html").read_text()
    assert "Segment a super-packet exactly as the Linux kernel" in text
    assert re.search(r"SupportsBytes", text)


def test_every_link_leads_somewhere(read):
    assert len(read) > 25
    wrong = []
    for path, page in read.items():
        for link in page.links:
            target, anchor = urldefrag(unquote(link))
            if target.startswith(("https://", "mailto:")):
                continue
            assert "://" not in target, (path, link)
            found = (path.parent / target).resolve() if target else path
            if found not in read:
                if not found.is_file():
                    wrong.append((path.name, link))
            elif anchor and anchor not in read[found].anchors:
                wrong.append((path.name, link))
    assert wrong == []


def test_options_keep_their_hyphens(site):
    assert "Without --gso-size, TCP" in (site / "reference/gso.html").read_text()


def test_links_of_papers_lead_to_pages_or_to_the_repository():
    text = "[a](docs/policy.md) [b](SECURITY.md#x) [c](Makefile) [d](https://x.org) [e](#y)"
    assert papers.with_links("project/contributing.md", text) == (
        f"[a](../policy.md) [b](security.md#x) [c]({papers.source()}/blob/main/Makefile) "
        "[d](https://x.org) [e](#y)"
    )


def test_no_page_asks_another_host(read):
    for path, page in read.items():
        assert not [one for one in page.fetched if "//" in one], path
        for style in re.findall(r"url\(([^)]*)\)|@import", path.read_text()):
            assert "//" not in style, path


def test_the_reference_has_what_the_tables_have():
    made = {name: make() for name, make in pages.MAKERS.items()}
    assert all(f"## {rule}" in made["rules"] for rule in gso.RULES)
    assert made["drop-reasons"].count("\n") == len(REASONS) + 1
    assert made["trace-formats"].count("\n") == len(READERS) + 1
    assert all(f"`{scenario.name}`" in made["scenarios"] for scenario in SCENARIOS)
    assert all(f"## {fault.name}" in made["faults"] for fault in FAULTS)
    for option in ("--tunnel-port", "--gso-size", "## `gso watch`", "## Exit status"):
        assert option in made["gso"]
    assert "--keep-vm" in made["gso-kernel"]
    assert "<circle" in made["speed"]
    with pytest.raises(KeyError):
        pages.finished("<!-- made: nothing -->")


@pytest.fixture
def served(site):
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/measure.html":
                super().do_GET()
                return
            names = [f"/{path.relative_to(site)}" for path in sorted(site.rglob("*.html"))]
            page = MEASURE.replace("PAGES", json.dumps(names))
            body = page.replace("WIDTHS", json.dumps([DESKTOP, PHONE])).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            asked.append(f"{self.path} {arguments[2]}")

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def browse(chromium: str, folder: Path, *arguments: str) -> tuple[str, list[str], str]:
    """Return the document, what was fetched, and what the browser complained of."""
    log = folder / "net.json"
    options = (f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}")
    done = subprocess.run(
        [chromium, *QUIET, *options, "--enable-logging=stderr", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    found = re.findall(r'"url":\s*"((?:https?|ftp|wss?)://[^"]*)"', log.read_text())
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, [url for url in found if not OWN.match(url)], "\n".join(complaints)


def test_a_browser_fetches_the_site_alone_and_every_page_fits(chromium, served, tmp_path, read):
    address, asked = served
    wait = "--virtual-time-budget=120000"
    document, fetched, complaints = browse(
        chromium, tmp_path, wait, "--dump-dom", f"{address}/measure.html"
    )
    assert "<title>done</title>" in document
    seen = json.loads(re.search(r'<pre id="seen">(.*?)</pre>', document, re.DOTALL)[1])
    assert len(seen) == 2 * len(read)
    assert [one for one in seen if one[2] > one[1]] == []
    assert complaints == ""
    assert {url for url in fetched if not url.startswith(address)} == set()
    wrong = [one for one in asked if not re.search(r" (200|304)$", one)]
    assert [one for one in wrong if not one.startswith("/favicon.ico")] == []


@pytest.mark.parametrize("dark", [False, True])
def test_pages_have_both_looks(chromium, served, tmp_path, dark):
    address, _ = served
    look = ["--blink-settings=preferredColorScheme=0"] if dark else []
    for width in (DESKTOP, PHONE + 110):
        picture = tmp_path / f"{width}.png"
        size = f"--window-size={width},900"
        browse(chromium, tmp_path, *look, size, f"--screenshot={picture}", f"{address}/start.html")
        page = Image.open(picture).convert("L")
        # Most of it is paper, and there is ink on it.
        counts = page.histogram()
        dim, bright = sum(counts[:64]), sum(counts[192:])
        assert (dim > 2 * bright) is dark
        assert min(dim, bright) > 500
