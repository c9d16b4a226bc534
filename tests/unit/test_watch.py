"""Watching a live host; a script prints the output that bpftrace had in a VM."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
import string
import subprocess
import sys
import threading
import time
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gso
from gso.cli import main
from gso.commands import watch as command_watch
from gso.diagnosis import SET_INNER_MAC, packet_filter, recorders
from gso.diagnosis import live as watch
from gso.diagnosis.packet_filter import PacketFilter

RECORDED = Path(__file__).parents[1] / "vectors/traces/bpftrace.txt"
KERNEL = frozenset({"ip_vs_tunnel_xmit", "__dev_queue_xmit", "skb_udp_tunnel_segment"})


def bpftrace(folder: Path, body: str) -> str:
    path = folder / "bpftrace"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def host(monkeypatch):
    """A host that lacks nothing."""
    monkeypatch.setattr(command_watch, "kernel_functions", lambda: KERNEL)
    monkeypatch.setattr(command_watch, "lacking", lambda _: [])


def test_what_bpftrace_recorded_in_a_kernel():
    trace = gso.read_trace(RECORDED)
    assert trace.damaged == 0
    # The other case is of the copies that the test bed's mirror makes.
    case, copies = gso.diagnose(trace).cases
    assert set(copies.devices) == {"mir0"}
    assert case.rules == ("tunnel-header-negative", "inner-mac-length")
    assert case.fields["tnl_hlen"] == -2
    assert (case.function, case.missing_call) == ("ip_vs_tunnel_xmit", SET_INNER_MAC)
    assert (case.packets, case.dropped) == (4, 4)
    assert case.drop[2] == "validate_xmit_skb"
    assert case.results == {"skb_udp_tunnel_segment": -22}


def test_the_program_records_the_fields_that_the_readers_know():
    text = watch.program(KERNEL)
    recorded = RECORDED.read_text().splitlines()[1]
    for name in recorders.RECORDED:
        assert f"->{name}" in text
        assert f" {name}=" in recorded
    assert "kprobe:vxlan_xmit" not in text
    with pytest.raises(watch.WatchError, match="no function to attach to"):
        watch.program({"main"})


@pytest.mark.usefixtures("host")
def test_events_are_diagnosed_as_they_arrive(tmp_path, capsys):
    program = bpftrace(tmp_path, f"cat {RECORDED}; exec sleep 60")
    begun = time.monotonic()
    assert main(["watch", "--bpftrace", program, "--count", "28", "--json"]) == 1
    assert time.monotonic() - begun < 50
    told = capsys.readouterr()
    assert "tnl_hlen is -2" in told.err
    found = json.loads(told.out)["findings"]
    assert found[0]["function"] == "ip_vs_tunnel_xmit"
    assert found[0]["packets"] == 4


@pytest.mark.usefixtures("host")
def test_lines_of_json_say_at_once_what_is_wrong(tmp_path, capsys):
    schema = json.loads(files("gso.commands").joinpath("diagnose.schema.json").read_text())
    program = bpftrace(tmp_path, f"cat {RECORDED}; exec sleep 60")
    assert main(["watch", "--bpftrace", program, "--count", "28", "--ndjson"]) == 1
    told = capsys.readouterr()
    assert told.err == "watching; interrupt to end\n"
    *found, last = [json.loads(line) for line in told.out.splitlines()]
    checker = jsonschema.Draft202012Validator(schema)
    assert all(checker.is_valid(line) for line in (*found, last))
    assert found[0]["found"]["rules"] == ["tunnel-header-negative", "inner-mac-length"]
    assert "tnl_hlen is -2" in found[0]["found"]["message"]
    assert not last["clean"]
    assert last["findings"][0]["function"] == "ip_vs_tunnel_xmit"


@pytest.mark.usefixtures("host")
def test_it_ends_by_itself_and_leaves_nothing_running(tmp_path, capsys):
    pid = tmp_path / "pid"
    program = bpftrace(tmp_path, f"echo $$ > {pid}; exec sleep 60")
    assert main(["watch", "--bpftrace", program, "--seconds", "1"]) == 2
    assert "no event was found" in capsys.readouterr().out
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.usefixtures("host")
def test_an_interrupt_ends_it_with_the_report(tmp_path, capsys):
    program = bpftrace(tmp_path, f"cat {RECORDED}; exec sleep 60")
    timer = threading.Timer(2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    assert main(["watch", "--bpftrace", program]) == 1
    timer.join()
    assert "missing call     skb_set_inner_mac_header" in capsys.readouterr().out


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("seconds", [[], ["--seconds", "1"]])
def test_what_happened_before_the_end_is_in_the_report(tmp_path, capsys, seconds):
    """bpftrace prints the last events when it is interrupted."""
    ready = tmp_path / "ready"
    trap = f"trap 'cat {RECORDED}; kill $!; exit 1' INT"
    program = bpftrace(tmp_path, f"{trap}; sleep 60 & touch {ready}; wait")

    def interrupt() -> None:
        while not ready.exists():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    if not seconds:
        threading.Thread(target=interrupt).start()
    assert main(["watch", "--bpftrace", program, *seconds]) == 1
    assert "4 packets" in capsys.readouterr().out


@pytest.mark.usefixtures("host")
def test_what_bpftrace_complains_of_is_told(tmp_path, capsys):
    program = bpftrace(tmp_path, "echo 'ERROR: no BTF' >&2; exit 1")
    assert main(["watch", "--bpftrace", program]) == 2
    assert "bpftrace ended with 1: ERROR: no BTF" in capsys.readouterr().err


def test_what_is_missing_is_said(monkeypatch, capsys):
    monkeypatch.setattr(command_watch, "kernel_functions", lambda: KERNEL)
    monkeypatch.setattr(watch, "_BTF", Path("/nowhere/btf"))
    monkeypatch.setattr(watch, "_TRACING", (Path("/nowhere"),))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["watch", "--bpftrace", "no-such-bpftrace"]) == 2
    said = capsys.readouterr().err
    for word in ("sudo gso watch", "apt-get install bpftrace", "BTF", "CONFIG_KPROBE_EVENTS"):
        assert word in said


def test_the_program_can_be_seen():
    command = [sys.executable, "-c", "import sys; from gso.cli import main; sys.exit(main())"]
    done = subprocess.run(
        [*command, "watch", "--print-program"], capture_output=True, text=True, check=False
    )
    # The command says so where the kernel has none of the functions.
    assert "kprobe:" in done.stdout if done.returncode == 0 else "no function" in done.stderr


FILTERS = {
    ("--device", "eth0.5"): '$s->dev->name == "eth0.5"',
    ("--netns", "4026531840"): "$s->dev->nd_net.net->ns.inum == 4026531840",
    ("--port", "4789"): "*(uint16 *)($s->head + $s->transport_header) == 0xb512",
    ("--host", "192.0.2.1"): "+ 12) == 0x10200c0",
    ("--host", "ff02::8000:0:0:1"): "+ 8) == 0x2ff &&",
}


def printed(capsys, *words: str) -> str:
    assert main(["watch", "--print-program", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("words", FILTERS, ids=" ".join)
def test_a_filter_is_a_condition_of_the_program(words, capsys):
    every, some = printed(capsys), printed(capsys, *words)
    assert FILTERS[words] not in every
    # In each function, and never so that the end of a packet is missed that was seen.
    assert some.count(FILTERS[words]) >= len(KERNEL)
    assert some.count("(@seen[arg0] || (") == len(KERNEL)
    assert every[every.index("tracepoint:") :] == some[some.index("tracepoint:") :]
    # Whose error a segmenter returns must be known.
    assert "kretprobe:skb_udp_tunnel_segment /@in_skb_udp_tunnel_segment[tid]/" in some


REFUSED = {
    "--device": ['eth0"', "eth0\\", "a b", "", "x" * 16, "eth0\n", "eth0$s", "é", 'x") {'],
    "--netns": [
        "0",
        "4294967296",
        "-1",
        "nowhere",
        "/nowhere",
        "/proc/self/ns/pid",
        "/dev/null",
        "",
    ],
    "--host": ["192.0.2.1/24", "example.org", "1", "fe80::1%eth0", "", "::1 || 1"],
    "--port": ["0", "65536", "-1", "http", "1 || 1", "", "\uff11"],
}


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize(("option", "value"), [(o, v) for o, each in REFUSED.items() for v in each])
def test_nothing_else_gets_into_the_program(option, value, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["watch", "--print-program", f"{option}={value}"])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert f"argument {option}: " in said.err


@given(st.text())
def test_no_text_gets_into_the_program_but_as_names_and_numbers(text):
    for option, (read, _, _) in command_watch._FILTERS.items():
        try:
            found = read(text)
        except ValueError:
            continue
        added = watch.program(KERNEL, PacketFilter(**{option: found}))
        assert (
            re.sub(r'name == "[A-Za-z0-9_.@+~-]{1,15}"', "", added).count('"') == printed_quotes()
        )
        # The program has no character that one without a filter could not have.
        assert set(added) <= set(string.printable)


@functools.cache
def printed_quotes() -> int:
    return watch.program(KERNEL, PacketFilter(port=1)).count('"')


def test_a_namespace_is_its_number(tmp_path, monkeypatch):
    own = Path("/proc/self/ns/net")
    number = own.stat().st_ino
    monkeypatch.setattr(packet_filter, "_NAMED", own.parent)
    assert packet_filter.netns("net") == packet_filter.netns(str(own)) == number
    with pytest.raises(ValueError, match="not of the network"):
        packet_filter.netns("/proc/self/ns/mnt")
    with pytest.raises(ValueError, match="no network namespace"):
        packet_filter.netns(str(tmp_path))


@pytest.mark.usefixtures("host")
def test_the_report_says_what_was_watched(tmp_path, capsys):
    program = bpftrace(tmp_path, f"cat {RECORDED}; exec sleep 60")
    words = ["--device", "d0", "--port", "8002", "--count", "28"]
    assert main(["watch", "--bpftrace", program, *words]) == 1
    assert "this host, device d0, port 8002" in capsys.readouterr().out
    assert main(["watch", "--bpftrace", program, *words, "--json"]) == 1
    assert "this host, device d0, port 8002" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [(), *FILTERS, tuple(word for pair in FILTERS for word in pair)], ids=" ".join
)
@pytest.mark.usefixtures("host")
def test_bpftrace_takes_the_program(words, capsys):
    if not shutil.which("bpftrace"):
        pytest.skip("no bpftrace on this machine (Debian: bpftrace)")
    if os.geteuid() or not Path("/sys/kernel/btf/vmlinux").exists():
        pytest.skip("bpftrace reads programs as root only, and needs a kernel with BTF")
    # Where there is no tracefs it knows no tracepoint.
    text = printed(capsys, *words).partition("tracepoint:")[0]
    done = subprocess.run(["bpftrace", "-d", "-e", text], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"ERROR" not in done.stderr.replace(b"ERROR: Unknown error -1", b"")
    broken = ["bpftrace", "-d", "-e", text.replace("gso_size", "gso_sise")]
    assert subprocess.run(broken, capture_output=True, check=False).returncode


@pytest.mark.usefixtures("host")
def test_endless_complaints_hold_nothing_up(tmp_path, capsys):
    """A full pipe of standard error would stop bpftrace."""
    many = "yes 'WARNING: something' | head -c 1000000 >&2"
    program = bpftrace(tmp_path, f"{many}; cat {RECORDED}; {many}; echo last >&2; exit 3")
    assert main(["watch", "--bpftrace", program, "--seconds", "60"]) == 2
    said = capsys.readouterr().err
    assert "bpftrace ended with 3" in said
    assert "last" in said
    assert len(said) < 200_000
    program = bpftrace(tmp_path, f"{many}; cat {RECORDED}; exec sleep 60")
    assert main(["watch", "--bpftrace", program, "--count", "28"]) == 1
