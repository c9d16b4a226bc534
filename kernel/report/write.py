"""Write every form of the report into a results folder."""

from __future__ import annotations

from pathlib import Path

from gso.kernel.errors import FULL, UsageError
from gso.kernel.report.junit import junit
from gso.kernel.report.kcidb import kcidb
from gso.kernel.report.ktap import ktap
from gso.kernel.report.load import load, reading
from gso.kernel.report.page import page

PAGE, JUNIT, KTAP, KCIDB = "report.html", "junit.xml", "results.ktap", "kcidb.json"


def write(folder: Path) -> None:
    """Make the page, ``junit.xml``, ``results.ktap`` and ``kcidb.json`` from the folder alone."""
    with reading(folder):
        results = load(folder)
        made = {
            PAGE: page(results, folder),
            JUNIT: junit(results),
            KTAP: ktap(results),
            KCIDB: kcidb(results),
        }
        encoded = {name: text.encode() for name, text in made.items()}
    try:
        for name, data in encoded.items():
            (folder / name).write_bytes(data)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise UsageError(f"cannot write the report into {folder}: {error.strerror}") from None
