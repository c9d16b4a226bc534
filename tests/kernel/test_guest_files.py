"""Whatever a guest puts in the place of its files is read within limits, or refused at once."""

import os
import re
import shutil
import time

import pytest
from gso.kernel import guest_files
from gso.kernel.bootable import Bootable
from gso.kernel.conformance.tunnels import outcomes
from gso.kernel.conformance.tunnels.packets import Packet
from gso.kernel.errors import TestBedError
from gso.kernel.guest.records import FRAME, VIRTIO_NET_HDR
from gso.kernel.guest_files import GuestFileError
from gso.kernel.hunting import findings
from gso.kernel.judging import evidence
from gso.kernel.machine import qemu, vm, vng
from gso.kernel.machine.qemu import Machine
from gso.kernel.machine.share import Share
from gso.kernel.paths import BELIEVED
from gso.kernel.report import load, zoo
from gso.kernel.runs import reuse


def fifo(path, _secret):
    os.mkfifo(path)


def link(path, secret):
    path.symlink_to(secret)


def device(path, _secret):
    path.symlink_to("/dev/zero")


def loop(path, _secret):
    path.symlink_to(path)


def folder(path, _secret):
    path.mkdir()


def huge(path, _secret):
    with path.open("wb") as file:
        file.truncate(100 << 30)


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("the host's")
    return path


@pytest.fixture
def shared(tmp_path):
    path = tmp_path / "shared"
    path.mkdir()
    return path


@pytest.mark.parametrize("trick", [fifo, link, device, loop, folder, huge])
def test_evidence_and_logs(shared, secret, trick):
    begun = time.monotonic()
    for name in ("a-b.trace", "a-b.wire.frames", "console.log"):
        trick(shared / name, secret)
    for read in (evidence.read_trace, evidence.read_frames):
        with pytest.raises(GuestFileError):
            read(shared / ("a-b.trace" if read is evidence.read_trace else "a-b.wire.frames"))
    lost = vm.VmLostError("no results", shared)
    assert lost.status == "lost"
    assert "host" not in TestBedError("vm", "x", shared / "console.log").log_tail
    assert time.monotonic() - begun < 5


def test_the_folder_is_no_link(shared, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.trace").write_text("")
    (shared / "cells").symlink_to(elsewhere)
    with pytest.raises(GuestFileError):
        guest_files.read(shared / "cells" / "a.trace")
    with pytest.raises(GuestFileError):
        guest_files.make_way(shared / "cells" / "a.pcapng")


def test_nothing_is_written_through_a_link(shared, secret):
    before = secret.read_text()
    path = shared / "a.pcapng"
    path.symlink_to(secret)
    guest_files.make_way(path)
    path.write_text("ours")
    assert secret.read_text() == before


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_cut_capture_is_damaged(shared, cut):
    whole = FRAME.pack(5, 10) + VIRTIO_NET_HDR.pack(0, 0, 0, 0, 0, 0) + bytes(10)
    (shared / "a.frames").write_bytes(whole)
    assert [frame.data for frame in evidence.read_frames(shared / "a.frames")] == [bytes(10)]
    (shared / "a.frames").write_bytes(whole[:-cut])
    with pytest.raises(GuestFileError, match=r"a\.frames of the guest is damaged"):
        evidence.read_frames(shared / "a.frames")


needs_qemu = pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"
)

_RECEIVED = "gso_entry: dev=a ip_summed=0 b gso_size=0 gso_type=0x0\n"


@pytest.mark.parametrize("damage", [b"", b"\0", b"\xff" * 8, b"\xff" * 4096])
def test_damaged_outcomes_are_refused(shared, damage):
    (shared / "outcome.bin").write_bytes(damage)
    (shared / "metadata.txt").write_text("")
    packet = Packet(b"")
    with pytest.raises(GuestFileError, match=r"outcome\.bin of the guest is damaged"):
        list(outcomes.read(shared, [(0, packet)]))
    (shared / "metadata.txt").write_text("tracing_mark_write: packet 7\n" + _RECEIVED)
    with pytest.raises(GuestFileError, match=r"metadata\.txt of the guest is damaged"):
        list(outcomes.read(shared, [(0, packet)]))


@pytest.mark.parametrize("name", sorted(BELIEVED))
@pytest.mark.parametrize("place", ["", "cells"])
def test_no_guest_leaves_what_later_commands_believe(tmp_path, name, place):
    """Its folder is one of those that ``report --merge`` and ``--reuse`` look through."""
    share = Share(tmp_path / "home", tmp_path / "evidence")
    (share.left / place).mkdir(parents=True)
    (share.left / place / name).write_text("{}")
    with pytest.raises(GuestFileError, match=f"a file of the name '{name}'"):
        share.take()
    assert not list((tmp_path / "evidence").rglob(name))


def test_what_commands_look_for_in_folders_is_believed():
    looked_for = {load.RESULTS, zoo.RESULTS, findings.RESULTS, reuse.SEAL}
    assert looked_for == BELIEVED


def test_a_plain_file_is_read(shared):
    (shared / "a.trace").write_text("traced")
    assert guest_files.read(shared / "a.trace", 6) == b"traced"
    with pytest.raises(GuestFileError, match="more than 5 bytes"):
        guest_files.read(shared / "a.trace", 5)


def _shares(line: list[str]) -> dict[str, str]:
    """The security models of shared folders, by the names of the folders."""
    return {
        re.search(r"id=([\w-]+)", one)[1]: re.search(r"security_model=[^ ]*", one)[0]
        for one in line
        if one.startswith("local,")
    }


def _has_its_limits(line: list[str]) -> bool:
    return line[0] == "prlimit" and ("--die-with-parent" in line or "--pdeathsig" in line)


@needs_qemu
def test_the_machines_command_line(tmp_path):
    home = tmp_path / "a,b c"
    shared = Share(home, tmp_path)
    machine = Machine(Bootable(tmp_path / "image"), shared, tmp_path, port=3)
    line = qemu.command(machine, tmp_path / "archive")
    how = _shares(line)
    assert how.pop("gso-left") == "security_model=mapped-file"
    assert set(how.values()) == {"security_model=none,readonly=on"}
    assert "a,,b c/left" in " ".join(line)
    assert not [one for one in line if one.startswith("local,") and "path=/," in one]
    assert _has_its_limits(line)


@needs_qemu
@pytest.mark.skipif(not shutil.which("busybox"), reason="busybox is not installed")
def test_the_command_line_of_virtme_ng(tmp_path, monkeypatch):
    """It shares as little of this host as ours does, and has the same limits."""
    monkeypatch.setenv("PYGSO_CACHE", str(tmp_path / "cache"))
    shared, home = Share(tmp_path, tmp_path), tmp_path / "home"
    home.mkdir()
    (tmp_path / "image").write_bytes(b"no kernel")
    machine = Machine(Bootable(tmp_path / "image"), shared, tmp_path, port=3)
    line = vng.command(machine, home)
    how = _shares(line)
    assert how.pop("gso-left") == "security_model=mapped-file"
    assert all("readonly=on" in one for one in how.values())
    assert not [one for one in line if one.startswith("local,") and "path=/," in one]
    assert _has_its_limits(line)
    assert (home / "initramfs").stat().st_size > 0
    arguments = line[line.index("-append") + 1]
    assert set(machine.kernel_arguments()) <= set(arguments.split())
    assert len([one for one in line if one.startswith("stdio,")]) == 1


def test_what_virtme_ng_refuses_is_told():
    with pytest.raises(TestBedError, match=r"virtme-run: exit 1: .*/none does not exist"):
        vng._asked(["--kimg", "/none", "--mods", "none"])
