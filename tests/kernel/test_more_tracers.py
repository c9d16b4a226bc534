"""Tools of Debian that show drops, trace-cmd, and ``gso watch`` with filters, in the faulty kernel.

Under emulation each start of bpftrace takes minutes, so there are two.
"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass

import pytest
from gso.kernel.guest.addresses import VIP
from gso.kernel.scenarios.registry import SCENARIOS

import gso
import tracers
from gso.diagnosis import SET_INNER_MAC
from gso.diagnosis.recorders import COMMANDS
from testbed import gso_kernel
from tracers import HELPERS, SCENARIO, WITHOUT_OFFSETS, files

(SENT,) = (one for one in SCENARIOS if one.name == SCENARIO)
FITTING = {
    "device": "d0",
    "netns": "director",
    "host": VIP[SENT.inner],
    "port": str(SENT.service_port),
}
"""Where the packets come in; one that fits there is followed to its end on another device."""
FILTERS = {"fitting": FITTING, "other": {**FITTING, "port": "9"}}
WATCH = f"{shlex.quote(sys.executable)} -m gso watch"
MACHINE = ("--unpatched", "--only", SCENARIO, "--timeout", "2700")

pytestmark = [pytest.mark.vm, pytest.mark.on_demand, pytest.mark.xdist_group("more tracers")]


def watch(which: str) -> str:
    """A script that watches by these filters while packets pass."""
    options = " ".join(f"--{name} {value}" for name, value in FILTERS[which].items())
    return f"""
{WATCH} {options} --json > told-{which} 2> said-{which} &
attached 4
sleep 8  # what comes after the kprobes in the program
send {SCENARIO} bulk > /dev/null
sleep 15
kill -INT $!
wait $!
echo $? > status-{which}
none_attached
for file in told said status; do show $file-{which}; done
"""


@dataclass
class Shown:
    """The files that the scripts showed, by name."""

    files: dict[str, str]

    def trace(self, name: str) -> gso.Trace:
        assert self.files[name], self.files
        return gso.read_trace(self.files[name].encode())


def run(folder, script) -> Shown:
    words = (*MACHINE, *tracers.shown(folder), "--command", HELPERS + script)
    done = gso_kernel(folder, "shell", *words, timeout=3000)
    assert done.status == 0, done.out + done.err
    return Shown(files(done.out))


@pytest.fixture(scope="module")
def tools(test_bed, perf, dropwatch, trace_cmd, tmp_path_factory):  # noqa: ARG001
    script = WITHOUT_OFFSETS + tracers.trace_cmd(COMMANDS["perf"])
    return run(tmp_path_factory.mktemp("tools"), script)


@pytest.fixture(scope="module")
def watched(test_bed, bpftrace, tmp_path_factory):  # noqa: ARG001
    return run(tmp_path_factory.mktemp("watched"), "".join(map(watch, FILTERS)))


@pytest.mark.parametrize("name", ["perf-trace-stacks", "dropwatch-summary", "dropwatch-packet"])
def test_drops_in_the_segmenter_are_found(tools, name):
    trace = tools.trace(f"{name}.log")
    assert trace.damaged == 0, trace.damaged_lines
    case = gso.diagnose(trace).cases[0]
    assert case.rules == ("dropped-in-segmentation",)
    assert case.drop[2] == "validate_xmit_skb"
    assert case.function == ("ip_vs_tunnel_xmit" if "stacks" in name else "")


def test_drops_at_an_address_are_not_called_fine(tools):
    trace = tools.trace("perf-trace.log")
    assert (trace.format, trace.damaged) == ("perf-trace", 0), trace.damaged_lines
    diagnosis = gso.diagnose(trace)
    assert not diagnosis.clean
    assert diagnosis.unplaced > 0


def test_trace_cmd_shows_the_fault(tools):
    trace = tools.trace("trace-cmd.log")
    assert (trace.format, trace.damaged) == ("ftrace", 0), trace.damaged_lines
    case = gso.diagnose(trace).cases[0]
    assert case.rules[0] == "tunnel-header-negative"
    assert (case.function, case.fields["tnl_hlen"]) == ("ip_vs_tunnel_xmit", -2)
    assert case.missing_call == SET_INNER_MAC


def test_watch_reports_the_packets_that_all_filters_fit(watched):
    assert watched.files["status-fitting"].strip() == "1"
    found = json.loads(watched.files["told-fitting"])["findings"][0]
    assert found["fields"]["tnl_hlen"] == -2
    assert found["function"] == "ip_vs_tunnel_xmit"
    assert found["results"]["skb_udp_tunnel_segment"] == -22
    assert found["drop"]["place"] == "validate_xmit_skb"


def test_watch_reports_no_packet_that_one_filter_does_not_fit(watched):
    assert watched.files["status-other"].strip() == "2"
    told = json.loads(watched.files["told-other"])
    assert told["findings"] == []
    assert [log["events"] for log in told["logs"]] == [0]
