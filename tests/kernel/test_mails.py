"""Mails as mail programs write them, and as nobody should: read or refused, always at once."""

import contextlib
import errno
import os
import sys
import time
from pathlib import Path

import pytest
from gso.kernel import cli
from gso.kernel.commands import list as list_command
from gso.kernel.errors import UsageError
from gso.kernel.trees import patches
from hypothesis import given, settings
from hypothesis import strategies as st

CASES = Path(__file__).parent.parent / "vectors" / "cases" / "hardening"
DIFF = b"--- a/net/a.c\n+++ b/net/a.c\n@@ -1 +1 @@\n-one\n+two\n"


def read(folder, text):
    (folder / "x.mbox").write_bytes(text)
    return patches.read_series(folder / "x.mbox")


def test_a_mail_saved_from_exchange_is_read():
    (patch,) = patches.read_series(CASES / "exchange.eml")
    assert patch.touched == ("net/netfilter/ipvs/ip_vs_xmit.c",)
    assert b"\r" not in patch.text


@pytest.mark.parametrize(
    "name",
    sorted(path.name for path in CASES.iterdir() if path.suffix in (".mbox", ".patch")),
)
def test_what_cannot_be_a_patch_is_refused(name):
    with pytest.raises(UsageError):
        patches.read_series(CASES / name)


LONG = 1 << 18


@pytest.mark.parametrize(
    "text",
    [
        b"A: b\r\n" * LONG + b"x",
        b"A:\n b\n" * LONG,
        b"From " + b"x" * LONG,
        b"From " + b"1234 " * LONG,
        b"From a 2026\n" * LONG,
        b"--- " + b"x" * LONG,
        b"--- x\n" * LONG,
        b"From a 2026\nSubject: " + b"=?" * LONG + b"\n\n" + DIFF,
        b"From a 2026\nSubject: [" + b"1" * LONG + b"]\n\n" + DIFF,
        b"Subject: a\n" + b"Content-Type: multipart/mixed; boundary=a\n\n--a\n" * LONG,
        b"From a 2026\nSubject: [PATCH 1/9999]\n\n" + DIFF,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_no_text_takes_long(tmp_path, text):
    begun = time.process_time()
    with contextlib.suppress(UsageError):
        read(tmp_path, text)
    # What grows with the square would take hours; other programs' share does not count.
    assert time.process_time() - begun < 20


@pytest.mark.parametrize(
    "diff",
    [
        b"diff --git a/net/l b/net/l\nnew file mode 120000\n--- /dev/null\n+++ b/net/l\n"
        b"@@ -0,0 +1 @@\n+/etc/passwd\n\\ No newline at end of file\n",
        b"diff --git a/net/x b/net/y\nrename from net/x\nrename\n",
        b"diff --git a/net/x b/net/y\nrename from net/x\nrename to net/x/y\n",
        b"--- a/net/\xe9\n+++ b/net/\xe9\n@@ -1 +1 @@\n-a\n+b\n",
        b'--- "a/net/\\303\\251"\n+++ "b/net/\\303\\251"\n@@ -1 +1 @@\n-a\n+b\n',
        b"--- a/net/x\0\n+++ b/net/x\0\n@@ -1 +1 @@\n-a\n+b\n",
        b"--- a/net/" + b"x" * 300 + b"\n+++ b/net/" + b"x" * 300 + b"\n@@ -1 +1 @@\n-a\n+b\n",
    ],
    ids=["link", "rename to nothing", "file and folder", "latin-1", "quoted", "NUL", "long"],
)
def test_odd_files_are_refused(tmp_path, diff):
    with pytest.raises(UsageError):
        read(tmp_path, diff)


MAIL = b"From a@b Mon Nov 23 10:00:00 2026\nFrom: A <a@b>\nSubject: [PATCH v2 1/2] x\n"
MAIL += b"Content-Type: multipart/mixed; boundary=zz\n\n--zz\n\n" + DIFF + b"--zz--\n"
PIECES = st.sampled_from(
    [
        *(
            b"=?utf-8?b?",
            b"=?utf-8?q?",
            b"=?x?q?a?=",
            b"?=",
            b"From ",
            b"\0",
            b"\xff",
            b"rename to ",
        ),
        *(
            b"Subject: ",
            b"Re: ",
            b"[PATCH 3/",
            b"v99999",
            b"--zz",
            b"\r\n",
            b"\n\n",
            b"../",
            b"net",
        ),
        *(b"Content-Transfer-Encoding: base64\n", b"charset=utf-7", b"diff --git a/x b/y\n"),
        *(b"@@ -1,99999999999 +1 @@\n", b"new file mode 120000\n", b"Binary files a and b differ"),
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_damaged_mails_and_patches_are_read_or_refused(tmp_path_factory, data):
    text = bytearray(data.draw(st.sampled_from([MAIL, MAIL * 2, DIFF])))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 20))] = data.draw(PIECES | st.binary(max_size=4))
    folder = tmp_path_factory.mktemp("mail")
    try:
        found = read(folder, bytes(text))
    except UsageError:
        return
    for patch in found:
        with contextlib.suppress(patches.PatchError):
            patches.apply({"net/a.c": b"one\n"}, patch)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOENT, os.strerror(errno.ENOENT), "/x"),
        *(MemoryError(), RecursionError("deep"), KeyError("ok"), ValueError("\x1b[2J")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_unforeseen_error_is_no_verdict(monkeypatch, capsys, error):
    def failing(_options):
        raise error

    monkeypatch.setattr(list_command, "_list", failing)
    monkeypatch.setattr(sys, "argv", ["gso-kernel", "list"])
    assert cli.main() == 125
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert type(error).__name__ in said
    path = Path(said.rsplit(" ", 1)[1].strip())
    assert "Traceback" in path.read_text()
    path.unlink()


def test_a_full_disk_is_no_verdict(monkeypatch, capsys):
    def failing(_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x")

    monkeypatch.setattr(list_command, "_list", failing)
    monkeypatch.setattr(sys, "argv", ["gso-kernel", "list"])
    assert cli.main() == 125
    assert capsys.readouterr().err == "gso-kernel: /x: No space left on device\n"
