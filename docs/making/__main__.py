"""Make the documentation site.

    python -m making FOLDER        (make docs runs this)

The sources come together in FOLDER/source, and Sphinx builds FOLDER/site of them. Every warning
of Sphinx is an error: links that lead nowhere, names that are not there.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from making import contents, pages, papers

_DOCS = Path(__file__).resolve().parents[1]


def main(folder: str) -> int:
    """Put the sources together, build, and return Sphinx' exit status."""
    source, site = Path(folder).resolve() / "source", Path(folder).resolve() / "site"
    write_sources(source)
    shutil.rmtree(site, ignore_errors=True)
    from sphinx.cmd.build import main as sphinx  # noqa: PLC0415  (only now is it needed)

    strict = ["--quiet", "--fail-on-warning", "--keep-going", "--fresh-env"]
    status = sphinx([*strict, "--doctree-dir", f"{folder}/doctrees", str(source), str(site)])
    if status == 0:
        print(site / "index.html")
    return status


def write_sources(folder: Path) -> None:
    """Write what Sphinx reads: the pages of docs/, and those that are made."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(_DOCS, folder, ignore=shutil.ignore_patterns("making", "*.md"))
    for path, text in texts().items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def texts() -> dict[str, str]:
    """Return the path and the text of each page of the site."""
    written = {
        str(path.relative_to(_DOCS)): path.read_text(encoding="utf-8")
        for path in sorted(_DOCS.rglob("*.md"))
    }
    found = {**written, **papers.texts()}
    found["index.md"] += f"\n{contents.trees()}"
    return {path: papers.with_links(path, pages.finished(text)) for path, text in found.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
