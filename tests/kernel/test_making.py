"""What a patch can do while it is built: it runs commands, and none of them leaves its folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from gso.kernel import sandbox
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.trees import kept, making
from gso.kernel.trees.build import SourceTree

_SECRET = "the host's secret 81ce"

needs_sandbox = pytest.mark.skipif(
    not sandbox.works(), reason="no sandbox here; the Debian package is bubblewrap"
)


@pytest.fixture
def place(tmp_path):
    """A tree with a folder for what is built, and a secret and a victim beside them."""
    for name in ("tree", "objects", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside" / "secret").write_text(_SECRET)
    (tmp_path / "outside" / "victim").write_text("untouched")
    return tmp_path


def built(place: Path, rule: str) -> str:
    """Build a tree whose makefile has this rule, and return the log."""
    (place / "tree" / "Makefile").write_text(f"all:\n\t{rule}\n")
    log = place / "log"
    tree, objects = place / "tree", place / "objects"
    making.make("build", tree, [f"O={objects}"], log, readable=[tree], writable=objects)
    return log.read_text()


@needs_sandbox
def test_a_build_reads_its_tree_and_writes_its_folder(place):
    (place / "tree" / "a.c").write_text("int a;\n")
    built(place, "gcc -c a.c -o $(O)/a.o")
    assert (place / "objects" / "a.o").exists()


@needs_sandbox
@pytest.mark.parametrize(
    "source",
    ['#include "{}/secret"', 'asm(".incbin \\"{}/secret\\"");', "#embed <{}/secret>"],
)
def test_sources_include_nothing_from_outside(place, source):
    (place / "tree" / "a.c").write_text(source.format(place / "outside") + "\n")
    with pytest.raises(TestBedError) as failed:
        built(place, "gcc -c a.c -o $(O)/a.o")
    assert failed.value.exit_status == 125
    assert _SECRET not in (place / "log").read_text()
    assert not (place / "objects" / "a.o").exists()


@needs_sandbox
@pytest.mark.parametrize(
    "command",
    [
        "cat {}/secret",
        "echo mine >{}/victim",
        "echo mine >Makefile",
        "echo mine >/usr/bin/mine",
        "cat /etc/shadow /root/.bashrc",
        "chmod 4755 /bin/sh",
    ],
)
def test_commands_reach_nothing_outside(place, command):
    with pytest.raises(TestBedError):
        built(place, command.format(place / "outside"))
    assert _SECRET not in (place / "log").read_text()
    assert (place / "outside" / "victim").read_text() == "untouched"
    assert not Path("/usr/bin/mine").exists()


@needs_sandbox
def test_there_is_no_network(place):
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect = (
            f'import socket; socket.create_connection(("127.0.0.1", {server.getsockname()[1]}))'
        )
        command = f"python3 -c '{connect}'"
        subprocess.run(["sh", "-c", command], check=True)
        with pytest.raises(TestBedError):
            built(place, command)


@needs_sandbox
def test_what_is_left_running_ends_with_the_build(place):
    built(place, "(sleep 1; echo late >$(O)/late) & true")
    time.sleep(2)
    assert not (place / "objects" / "late").exists()


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_only_regular_files_are_taken(place, kind):
    path = place / "objects" / "a.ko"
    if kind == "link":
        path.symlink_to(place / "outside" / "secret")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(TestBedError, match=r"a\.ko is no regular file"):
        making.made(path)


def test_without_a_sandbox_what_runs_commands_needs_trust(monkeypatch):
    monkeypatch.setattr(sandbox, "works", lambda: False)
    making.check_trust(["net/core/dev.c", "include/net/a.h", "Documentation/a.rst"])
    for name in ("net/Makefile", "net/Kconfig", "scripts/a.sh", "net/Kbuild", "scripts/b.pl", "x"):
        with pytest.raises(TestBedError, match="trust-patch") as refused:
            making.check_trust(["net/core/dev.c", name])
        assert refused.value.exit_status == 125
    monkeypatch.setenv(sandbox.TRUST, "1")
    making.check_trust(["net/Makefile"])


# --- links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"new", None])
def test_nothing_is_written_through_a_link(place, data):
    victim = place / "outside" / "victim"
    (place / "tree" / "a.c").symlink_to(victim)
    kept.write_files(place / "tree", {"a.c": data})
    assert victim.read_text() == "untouched"
    assert not (place / "tree" / "a.c").is_symlink()
    assert (place / "tree" / "a.c").exists() == (data is not None)


def test_no_folder_that_is_a_link_leads_out(place):
    (place / "tree" / "net").symlink_to(place / "outside")
    with pytest.raises(TestBedError, match="leads out"):
        kept.write_files(place / "tree", {"net/new": b"new"})
    with pytest.raises(TestBedError, match="leads out"):
        kept.write_files(place / "tree", {"net/deeper/victim": None})
    assert sorted(path.name for path in (place / "outside").iterdir()) == ["secret", "victim"]


def test_a_tree_of_links_is_not_read_outside(place):
    tree = place / "tree"
    for name in ("Kconfig", "Makefile"):
        (tree / name).write_text("")
    source = SourceTree(tree)
    (tree / "a.c").symlink_to(place / "outside" / "secret")
    (tree / "b.c").symlink_to("Makefile")
    (tree / "c.c").symlink_to("c.c")
    for name in ("a.c", "c.c"):
        with pytest.raises(TestBedError, match="leads out"):
            source.read(name)
    assert source.read("b.c") == b""


def test_a_makefile_that_is_a_link_out_of_the_tree_is_no_tree(place):
    shutil.rmtree(place / "tree")
    (place / "tree").mkdir()
    (place / "tree" / "Kconfig").write_text("")
    (place / "tree" / "Makefile").symlink_to(place / "outside" / "secret")
    with pytest.raises((TestBedError, UsageError)):
        SourceTree(place / "tree")
