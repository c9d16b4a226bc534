"""Write every form of the report into a results folder."""

from __future__ import annotations

from pathlib import Path

from gso.kernel.errors import UsageError
from gso.kernel.report.junit import junit
from gso.kernel.report.ktap import ktap
from gso.kernel.report.load import load, reading
from gso.kernel.report.page import page

PAGE, JUNIT, KTAP = "report.html", "junit.xml", "results.ktap"


def write(folder: Path) -> None:
    """Make ``report.html``, ``junit.xml`` and ``results.ktap`` from the folder alone."""
    with reading(folder):
        results = load(folder)
        made = {
            PAGE: page(results, folder),
            JUNIT: junit(results),
            KTAP: ktap(results),
        }
    try:
        for name, text in made.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write the report into {folder}: {error.strerror}") from None
