"""Real tracers in a kernel with the fault: what is advised, taken literally, and ``gso watch``."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import gso
import tracers
from gso.diagnosis import SET_INNER_MAC
from testbed import gso_kernel
from tracers import HELPERS, SCENARIO, build_dumper, dump, files

NO_OFFSETS = b"0xffff888123456789 0 [curl:7] ip_output netns=4026531840 mark=0x0 len=60\n"
# What it prints is not for the files that are shown.
SEND = f"send {SCENARIO} bulk > /dev/null"
WATCH = f"{shlex.quote(sys.executable)} -m gso watch"
SIGNALS = ("INT", "TERM")

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("tracers")]


@pytest.fixture(scope="module")
def shown(test_bed, bpftrace, perf, tmp_path_factory):  # noqa: ARG001
    """Run all scripts of this file in one VM with the fault; return the files that they show."""
    folder = tmp_path_factory.mktemp("tracers")
    watching = "".join(map(watch, SIGNALS))
    script = watching + WATCH_REFUSES + record(advice(folder)) + dump(build_dumper(None, folder))
    machine = ("--unpatched", "--only", SCENARIO, "--timeout", "2700", *tracers.shown(folder))
    done = gso_kernel(folder, "shell", *machine, "--command", HELPERS + script, timeout=3000)
    assert done.status == 0, done.out + done.err
    return files(done.out)


def advice(folder: Path) -> dict[str, str]:
    """What is advised for a log that has no offsets."""
    log = folder / "no-offsets"
    log.write_bytes(NO_OFFSETS)
    command = [sys.executable, "-m", "gso", "diagnose", "--json", str(log)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2, "a log without offsets cannot be judged"
    (told,) = json.loads(done.stdout)["logs"]
    return told["record"]


def record(commands: dict[str, str]) -> str:
    return f"""
{commands["bpftrace"]} &
attached 2
{SEND}
sleep 1
kill -INT $(pidof bpftrace)
wait $!
none_attached
({commands["perf"]}) > perf.said 2>&1 &
attached 2
{SEND}
wait $!
show bpftrace.log
show perf.log
show perf.said
"""


def watch(sign: str) -> str:
    return f"""
{WATCH} --json > told-{sign} 2> said-{sign} &
attached 4
{SEND}
wait_until grep -q tnl_hlen said-{sign}
cp said-{sign} early-{sign}
kill -{sign} $!
wait $!
echo $? > status-{sign}
none_attached > left-{sign}
pidof bpftrace >> left-{sign}
for file in early told status left; do show $file-{sign}; done
"""


WATCH_REFUSES = f"""
{WATCH} --bpftrace no-such-program 2> no-bpftrace
mount -t tmpfs none /sys/kernel/btf || exit
{WATCH} --seconds 1 2> no-btf
umount /sys/kernel/btf
setpriv --reuid 65534 --clear-groups {WATCH} --seconds 1 2> not-root
for file in no-bpftrace no-btf not-root; do show $file; done
"""


def test_the_advised_commands_record_what_is_diagnosed(shown, tmp_path):
    for name, kind in (("bpftrace.log", "ftrace"), ("perf.log", "perf")):
        assert shown[name], shown
        log = tmp_path / name
        log.write_text(shown[name])
        trace = gso.read_trace(log)
        assert trace.format == kind
        assert trace.damaged == 0, trace.damaged_lines
        diagnosis = gso.diagnose(trace)
        case = diagnosis.cases[0]
        assert case.rules[0] == "tunnel-header-negative"
        assert case.fields["tnl_hlen"] == -2
        assert case.function == "ip_vs_tunnel_xmit", name
        assert case.missing_call == SET_INNER_MAC
        assert not diagnosis.record


def test_the_kernel_s_own_dumps_are_diagnosed(shown, tmp_path):
    log = tmp_path / "dmesg.log"
    log.write_text(shown[log.name])
    trace = gso.read_trace(log)
    assert trace.format == "dmesg"
    assert trace.damaged == 0, trace.damaged_lines
    (case,) = gso.diagnose(trace).cases
    assert case.rules == ("tunnel-header-negative",)
    assert case.packets == len(trace) > 1
    assert case.fields["tnl_hlen"] == -2
    assert case.function == "ip_vs_tunnel_xmit"
    assert case.missing_call == SET_INNER_MAC


@pytest.mark.parametrize("sign", SIGNALS)
def test_watch_reports_packets_of_a_live_kernel(shown, sign):
    assert "tunnel-header-negative" in shown[f"early-{sign}"]
    assert "tnl_hlen is -2: inner_mac_header" in shown[f"early-{sign}"]
    assert shown[f"status-{sign}"].strip() == "1"
    assert shown[f"left-{sign}"] == ""
    found = json.loads(shown[f"told-{sign}"])["findings"][0]
    assert found["fields"]["tnl_hlen"] == -2
    assert found["function"] == "ip_vs_tunnel_xmit"
    assert found["missing_call"] == SET_INNER_MAC
    assert found["dropped"] > 0
    assert found["drop"]["place"] == "validate_xmit_skb"
    assert found["results"]["skb_udp_tunnel_segment"] == -22


def test_watch_says_what_it_lacks(shown):
    assert "it is not installed (Debian: apt-get install bpftrace)" in shown["no-bpftrace"]
    assert "CONFIG_DEBUG_INFO_BTF=y" in shown["no-btf"]
    assert "sudo gso watch" in shown["not-root"]
