"""A report that cannot be written is no verdict, nor wrong usage where nobody named its place."""

from __future__ import annotations

import errno
import os

import pytest
from gso.kernel import cli
from gso.kernel.errors import UsageError
from gso.kernel.report import write
from gso.kernel.runs import verify

from fake_machines import fake_machines

ONE = ("--only", "gue-outer4-inner4-nocsum")


def verified(tmp_path) -> int:
    with fake_machines(tmp_path / "images"):
        return cli.main(["verify", "--image", "a", "b", *ONE, "--results", str(tmp_path / "new")])


def test_after_a_run_it_is_no_verdict(tmp_path, monkeypatch, capsys):
    def refused(_folder) -> None:
        raise UsageError("cannot write the report")

    monkeypatch.setattr(verify, "write", refused)
    assert verified(tmp_path) == 125
    assert "report: cannot write the report" in capsys.readouterr().err
    # The results themselves are kept.
    assert list((tmp_path / "new").glob("*/results.json"))


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 125), (errno.EACCES, 2)])
def test_a_report_made_again(tmp_path, monkeypatch, capsys, number, status):
    assert verified(tmp_path) in (0, 1)
    (folder,) = (tmp_path / "new").iterdir()

    def refused(*_: object) -> int:
        raise OSError(number, os.strerror(number), "report.html")

    monkeypatch.setattr(write.Path, "write_bytes", refused)
    assert cli.main(["report", str(folder)]) == status
    said = capsys.readouterr().err
    assert os.strerror(number) in said
    assert "internal error" not in said
