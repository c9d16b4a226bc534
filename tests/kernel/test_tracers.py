"""Real tracers in a kernel with the fault: what is advised, taken literally, and ``gso watch``."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

import gso
from gso.cli import main
from gso.diagnosis import SET_INNER_MAC
from tracers import HELPERS, SCENARIO, build_dumper, dump, files

SEND = f"send {SCENARIO} bulk"
NO_OFFSETS = b"0xffff888123456789 0 [curl:7] ip_output netns=4026531840 mark=0x0 len=60\n"


@pytest.fixture
def in_guest(gso_kernel, request):
    """Run a shell script in a VM with the fault; returns the files that it shows, by name."""
    request.getfixturevalue("test_bed")

    def run(script: str) -> dict[str, str]:
        done = gso_kernel("shell", "--unpatched", "--only", SCENARIO, "--command", HELPERS + script)
        assert done.status == 0, done.out + done.err
        return files(done.out)

    return run


def advice(folder: Path, capsys) -> dict[str, str]:
    """What is advised for a log that has no offsets."""
    log = folder / "no-offsets"
    log.write_bytes(NO_OFFSETS)
    assert main(["diagnose", "--json", str(log)]) == 0
    (told,) = json.loads(capsys.readouterr().out)["logs"]
    return told["record"]


@pytest.mark.vm
@pytest.mark.usefixtures("bpftrace", "perf")
def test_the_advised_commands_record_what_is_diagnosed(in_guest, tmp_path, capsys):
    commands = advice(tmp_path, capsys)
    shown = in_guest(f"""
{commands["bpftrace"]} &
attached 2
{SEND}
sleep 1
kill -INT $(pidof bpftrace)
wait
none_attached
({commands["perf"]}) > perf.said 2>&1 &
attached 2
{SEND}
wait
show bpftrace.log
show perf.log
show perf.said
""")
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


@pytest.mark.vm
def test_the_kernel_s_own_dumps_are_diagnosed(in_guest, tmp_path):
    shown = in_guest(dump(build_dumper(None, tmp_path)))
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


@pytest.mark.vm
@pytest.mark.usefixtures("bpftrace")
@pytest.mark.parametrize("sign", ["INT", "TERM"])
def test_watch_reports_packets_of_a_live_kernel(in_guest, sign):
    watch = f"{shlex.quote(sys.executable)} -m gso watch"
    shown = in_guest(f"""
{watch} --json > told 2> said &
attached 4
{SEND}
for _ in $(seq 600); do grep -q tnl_hlen said && break; sleep 0.1; done
cp said early
kill -{sign} $!
wait $!
echo $? > status
none_attached > left
pidof bpftrace >> left
{watch} --bpftrace no-such-program 2> no-bpftrace
mount -t tmpfs none /sys/kernel/btf
{watch} 2> no-btf
setpriv --reuid 65534 --clear-groups {watch} 2> not-root
for file in early said told status left no-bpftrace no-btf not-root; do show $file; done
""")
    assert "tunnel-header-negative" in shown["early"]
    assert "tnl_hlen is -2: inner_mac_header" in shown["early"]
    assert shown["status"].strip() == "1"
    assert shown["left"] == ""
    found = json.loads(shown["told"])["findings"][0]
    assert found["fields"]["tnl_hlen"] == -2
    assert found["function"] == "ip_vs_tunnel_xmit"
    assert found["missing_call"] == SET_INNER_MAC
    assert found["dropped"] > 0
    assert found["drop"]["place"] == "validate_xmit_skb"
    assert found["results"]["skb_udp_tunnel_segment"] == -22
    assert "it is not installed (Debian: apt-get install bpftrace)" in shown["no-bpftrace"]
    assert "CONFIG_DEBUG_INFO_BTF=y" in shown["no-btf"]
    assert "sudo gso watch" in shown["not-root"]
