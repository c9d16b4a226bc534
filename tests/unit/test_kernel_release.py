"""The kernel that a log names: drop reasons are named, and commits judged, by it."""

from __future__ import annotations

import io

import pytest

import gso
from gso.diagnosis.reasons import reason_name
from gso.drawing.diagnosis_text import report
from gso.traces.kernel_release import Releases

LINES = {
    "[    0.000000] Linux version 6.12.41+deb13-amd64 (debian-kernel@debian.org) #1 SMP": "6.12.41",
    "CPU: 3 UID: 0 PID: 1 Comm: iperf3 Not tainted 6.12.116-1-amd64 #1  Debian": "6.12.116",
    "[1.5] CPU: 3 PID: 1 Comm: a Tainted: G        W  OE     6.1.0-18-amd64 #1 Debian": "6.1.0",
    "Pid: 0, comm: swapper Not tainted 2.6.32-5-amd64 #1": "2.6.32",
    "Linux node1 6.8.0-45-generic #45-Ubuntu SMP x86_64 GNU/Linux": "6.8.0",
    "# os release : 6.12.0-rc3": "6.12.0-rc3",
    "CPU: 3 PID: 0 Comm: swapper/3 Not tainted 5.14.0-427.13.1.el9_4.x86_64 #1": "",
    "CPU: 3 PID: 0 Comm: swapper/3 Not tainted 6.4.0-150600.23.25-default #1": "",
    "Linux is a kernel 6.1 is not named here": "",
    "not maintained 6.12 anymore": "",
}
DROP = "  a-1 [001] ..s.. 59.2: kfree_skb: skbaddr=0xffff9ca661e90200 location=foo+0x1 reason: {}\n"


@pytest.mark.parametrize("line", LINES)
def test_the_release_is_found(line):
    releases = Releases()
    releases.look(f"words\n{line}\nwords\n".encode())
    assert releases.release.startswith(LINES[line])
    assert bool(releases.release) == bool(LINES[line])


def test_two_releases_are_none():
    releases = Releases()
    releases.look(b"Linux version 6.12.41 (x) #1 SMP\n")
    releases.look(b"Linux version 6.12.41 (x) #1 SMP\n")
    assert releases.release == "6.12.41"
    releases.look(b"Linux version 6.1.9 (x) #1 SMP\n")
    assert releases.release == ""


def number_with_another_name() -> tuple[int, str, str]:
    for number in range(2, 120):
        one, other = reason_name(str(number), "6.1.190"), reason_name(str(number), "7.2.12")
        if one != other and not one.isdigit() and not other.isdigit():
            return number, one, other
    raise AssertionError("all numbers have the same names")


@pytest.mark.parametrize("far", [0, 300_000])
def test_numbers_of_reasons_are_named_by_it(far):
    number, one, other = number_with_another_name()
    noise = "[  812.000001] usb 1-1: new high-speed USB device\n" * (far // 50)
    for release, name in (("6.1.190", one), ("7.2.12", other)):
        boot = f"[    0.000000] Linux version {release}-amd64 (x) #1 SMP\n"
        with gso.TraceReader(io.BytesIO((noise + boot + DROP.format(number)).encode())) as reader:
            diagnosis = gso.diagnose(reader)
        assert list(diagnosis.drops) == [(name, "foo")]
        assert diagnosis.kernel == f"{release}-amd64"
    with gso.TraceReader(io.BytesIO(DROP.format(number).encode())) as reader:
        assert list(gso.diagnose(reader).drops) == [(str(number), "foo")]


def test_what_is_given_is_not_what_the_log_names():
    boot = "[    0.000000] Linux version 6.1.190 (x) #1 SMP\n"
    with gso.TraceReader(io.BytesIO((boot + DROP.format(3)).encode())) as reader:
        assert gso.diagnose(reader, "7.2.12").kernel == "7.2.12"


@pytest.mark.parametrize(
    ("release", "words"),
    [("6.12.41", "has it)"), ("5.15.1", "has it only if it was backported)"), ("", "(6.4)")],
)
def test_commits_are_compared_with_it(release, words):
    line = (
        "skb len=1544 headroom=50 headlen=1532 tailroom=0\nmac=(68,-18) net=(50,20) trans=70\n"
        "encapsulation=1 inner(proto=0x0004, mac=68, net=82, trans=102)\n"
    )
    boot = f"Linux version {release} (x) #1 SMP\n" if release else ""
    with gso.TraceReader(io.BytesIO((boot + line).encode())) as reader:
        text = " ".join(" ".join(report("a.log", gso.diagnose(reader))).split())
    assert words in text
