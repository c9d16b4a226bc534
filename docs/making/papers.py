"""Papers that lie outside docs/ and are pages of the site, and links from paper to paper."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PAPERS = {
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
    "benchmarks/GUARD.md": "project/guard.md",
    "tests/vectors/README.md": "project/vectors.md",
}
"""Each paper of the repository and its page."""

_PLACES = {page: paper for paper, page in PAPERS.items()}
_LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(#[\w-]+)?(?=\))")


def texts() -> dict[str, str]:
    """Return the path and the text of each such page."""
    return {page: (ROOT / paper).read_text(encoding="utf-8") for paper, page in PAPERS.items()}


def source() -> str:
    """Return the repository's address, as pyproject.toml has it."""
    found = re.search(r'^Source = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found, "[project.urls] has a Source"
    return found[1]


def with_links(page: str, text: str) -> str:
    """Return a page's text with links that work on the site.

    A link to a paper leads to its page; one to another file that the repository has, and the site
    has not, leads to the repository.
    """
    here = _PLACES.get(page, f"docs/{page}")

    def lead(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(here), link[1]))
        anchor = link[2] or ""
        inside = path.removeprefix("docs/") if path.startswith("docs/") else PAPERS.get(path)
        if inside is None and (ROOT / path).exists():
            return f"{source()}/blob/main/{path}{anchor}"
        if inside is None:
            return link[0]
        return posixpath.relpath(inside, posixpath.dirname(page) or ".") + anchor

    return _LINK.sub(lead, text)
