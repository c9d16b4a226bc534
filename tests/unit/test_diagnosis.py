"""From a log to the missing call, as a library and as a command."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import gso
import handmade as packets
from gso.cli import main
from gso.diagnosis import SET_INNER_MAC
from gso.diagnosis.recorders import COMMANDS, NEEDS
from gso.drawing.diagnosis_json import as_json
from gso.drawing.diagnosis_page import page
from gso.drawing.diagnosis_text import report
from gso.drawing.offsets import drawing

DATA = Path(__file__).parents[1] / "kernel/data"
UNPATCHED, PATCHED = DATA / "incident-unpatched.trace", DATA / "incident-patched.trace"

CLIENT = "172.70.2.6:49756->198.51.100.150:8000(tcp)"
GUE = "172.70.4.34:33259->172.70.64.149:5501(udp)"
# Lines of the published account.
PWRU = "".join(
    f"0xffff947712f34400      9        [<empty>] {function} netns=4026531840 mark=0x0 "
    f"ifindex={4 if flow is CLIENT else 7} proto=8 mtu=1600 len={length} {flow}\n"
    for function, length, flow in (
        ("packet_rcv", 1512, CLIENT),
        ("skb_push", 1512, CLIENT),
        ("consume_skb", 1512, CLIENT),
        ("inet_gso_segment", 1544, GUE),
        ("udp4_ufo_fragment", 1524, GUE),
        ("skb_udp_tunnel_segment", 1524, GUE),
        ("kfree_skb_reason(SKB_DROP_REASON_NOT_SPECIFIED)", 1558, GUE),
    )
)
STACK = f"""\
0xffff9868b7232e00 \t19       \t[pwru] kfree_skb_reason(SKB_DROP_REASON_NOT_SPECIFIED) \
netns=4026531840 mark=0x0 ifindex=7 proto=8 mtu=1600 len=1558 {GUE}
kfree_skb_reason
validate_xmit_skb
__dev_queue_xmit
ip_finish_output2
ip_vs_tunnel_xmit   \t[ip_vs]
ip_vs_in_hook   [ip_vs]
nf_hook_slow
"""
BEFORE = (
    "inner_mac_header=0x0 inner_network_header=0x0 inner_transport_header=0x0 mac_header=0x44 "
    "network_header=0x52 transport_header=0x66 len=1512 data_len=12"
)
AFTER = (
    "inner_mac_header=0x44 inner_network_header=0x52 inner_transport_header=0x66 mac_header=0x44 "
    "network_header=0x32 transport_header=0x46"
)
PERF = f"""\
swapper     0 [030] 79090.376151:    probe:ip_vs_in_hook: (ffffffffc0feebe0) dev="vlan100" \
skb=0xffff9ca661e90200 {BEFORE}
swapper     0 [030] 79090.376153:    probe:ip_vs_in_hook: (ffffffffc0feebe0) dev="vlan100" \
skb=0xffff9ca661e90200 {AFTER} len=1544 data_len=12
swapper     0 [030] 79090.376155: probe:__dev_queue_xmit: (ffffffff85070e60) dev="vlan100" \
skb=0xffff9ca661e90200 {AFTER} len=1558 data_len=12
"""


def diagnose(text: str) -> gso.Diagnosis:
    return gso.diagnose(gso.read_trace(io.BytesIO(text.encode())))


# --- the incident ---


def test_perf_lines_of_the_incident():
    [case] = diagnose(PERF).cases
    assert case.rules == ("tunnel-header-negative",)
    assert case.fields["tnl_hlen"] == -2
    assert case.expected == {"inner_mac_header": 0x52, "tnl_hlen": 12}
    assert case.function == "ip_vs_tunnel_xmit"
    assert case.missing_call == SET_INNER_MAC
    assert SET_INNER_MAC == "skb_set_inner_mac_header(skb, skb_inner_network_offset(skb))"
    assert case.growth == 32
    assert [event.line for event in case.events] == [1, 2, 3]
    assert case.example.line == 2
    assert case.devices == {"vlan100": 1}
    assert (case.first_time, case.last_time) == (79090376151000, 79090376155000)


def test_pwru_lines_of_the_incident_need_offsets():
    diagnosis = diagnose(PWRU)
    [case] = diagnosis.cases
    assert case.rules == ("dropped-in-segmentation",)
    assert case.dropped == 1
    assert case.growth == 32
    assert "after skb_udp_tunnel_segment" in case.message
    assert "IPv4 20 and 12: GUE" in case.message
    assert set(case.flows) == {CLIENT, GUE}
    assert diagnosis.record == COMMANDS


def test_the_stack_of_the_incident_names_the_function():
    [case] = diagnose(STACK).cases
    assert case.function == "ip_vs_tunnel_xmit"
    assert case.evidence == "it is in the stack"
    reason = "SKB_DROP_REASON_NOT_SPECIFIED"
    assert case.drop == ("kfree_skb_reason", reason, "validate_xmit_skb")


def test_a_log_of_an_unpatched_kernel():
    diagnosis = gso.diagnose(gso.read_trace(UNPATCHED))
    [case] = diagnosis.cases
    assert case.rules == ("tunnel-header-negative",)
    assert case.fields["tnl_hlen"] == -2
    assert case.function == "ip_vs_tunnel_xmit"
    assert case.missing_call == SET_INNER_MAC
    assert (case.packets, case.dropped) == (2, 1)
    assert case.drop == ("kfree_skb", "NOT_SPECIFIED", "validate_xmit_skb")
    assert case.results == {"skb_udp_tunnel_segment": -22}
    assert diagnosis.drops == {("QUEUE_PURGE", "sk_stream_kill_queues"): 1}


def test_the_repr_of_a_case_and_of_what_cannot_be_diagnosed():
    trace = gso.read_trace(UNPATCHED)
    diagnosis = gso.diagnose(trace)
    assert repr(diagnosis).startswith(f"<gso.Diagnosis: 1 case in {len(trace)} events of ")
    assert repr(diagnosis.cases[0]).startswith("<gso.Case: tunnel-header-negative: ")
    assert max(map(len, map(repr, (trace, diagnosis, diagnosis.cases[0])))) < 200
    for wrong in (b"0xff", "a.log", [b"0xff"]):
        with pytest.raises(TypeError, match=r"takes what .* gives, not"):
            gso.diagnose(wrong)


def test_a_log_of_a_patched_kernel_is_clean():
    diagnosis = gso.diagnose(gso.read_trace(PATCHED))
    assert diagnosis.clean
    assert diagnosis.judged["tunnel-header-negative"] == 3
    text = "\n".join(report("log", diagnosis))
    assert "nothing wrong was found" in text
    assert "tunnel-header-negative (3)" in text


def test_remote_checksum_offload_is_found_though_its_length_is_positive():
    offsets = AFTER.replace("transport_header=0x46", "transport_header=0x3e")
    offsets = offsets.replace("network_header=0x32", "network_header=0x2a")
    [case] = diagnose(PERF.replace(AFTER, offsets)).cases
    assert case.fields["tnl_hlen"] == 6
    assert case.expected["tnl_hlen"] == 20
    assert case.missing_call == SET_INNER_MAC


def test_an_ipv6_tunnel_is_the_other_function():
    offsets = AFTER.replace("network_header=0x32", "network_header=0x1e")
    [case] = diagnose(PERF.replace(AFTER, offsets)).cases
    assert case.function == "ip_vs_tunnel_xmit_v6"


# --- packets from their first event to their free ---


def test_a_pointer_that_is_used_again_is_another_packet():
    drop = PERF.splitlines()[2].replace("probe:__dev_queue_xmit", "probe:kfree_skb_reason")
    again = "\n".join(PERF.replace("79090", str(79100 + n)) + drop for n in range(3))
    [case] = diagnose(f"{again}\n").cases
    assert (case.packets, case.dropped) == (3, 3)


def test_what_is_freed_after_a_drop_is_the_same_packet():
    more = PWRU.splitlines()[-1].replace("kfree_skb_reason(SKB_DROP_REASON_NOT_SPECIFIED)", "{}")
    ends = "\n".join(more.format(name) for name in ("skb_release_data", "kfree_skbmem"))
    [case] = diagnose(PWRU + ends).cases
    assert case.packets == 1
    assert case.events[-1].function == "kfree_skbmem"


def test_equal_cases_are_one_finding():
    many = "".join(PERF.replace("661e90200", f"{n:09x}") for n in range(500))
    [case] = diagnose(many).cases
    assert case.packets == 500
    assert case.devices == {"vlan100": 500}


def test_batches_give_the_same_as_the_whole():
    many = "".join(PERF.replace("661e90200", f"{n:09x}") for n in range(50)) + STACK.replace(
        "\t", ""
    )
    for text in (many, PWRU, UNPATCHED.read_text()):
        whole = diagnose(text)
        with gso.TraceReader(io.BytesIO(text.encode()), rows=20) as reader:
            parts = gso.diagnose(reader)
        assert [(c.rules, c.packets, c.dropped) for c in parts.cases] == [
            (c.rules, c.packets, c.dropped) for c in whole.cases
        ]
        assert parts.judged == whole.judged


def test_other_drops_are_counted_and_no_finding():
    text = PWRU.replace("NOT_SPECIFIED", "TCP_FLAGS").splitlines()
    diagnosis = diagnose("\n".join([text[0], text[-1].replace(GUE, CLIENT)]))
    assert not diagnosis.cases
    assert not diagnosis.clean
    assert diagnosis.not_judged == "its events lack the fields that the rules compare"
    assert diagnosis.drops == {("TCP_FLAGS", ""): 1}


def test_the_drawing_is_to_scale():
    [case] = diagnose(PERF).cases
    lines = list(drawing(case))
    assert lines[1].startswith("|outer IP 20        |tunnel 12  |inner IP 20        |inner TCP")
    marks = {words[0]: line.index("^") for line in lines[2:] if (words := line.split()[1:])}
    assert marks["inner_mac_header"] == 0x44 - 0x32
    assert marks["inner_network_header"] == 0x52 - 0x32
    assert "inner_mac_header 68  <-- wrong, should be 82" in "\n".join(lines)


def test_the_page_needs_nothing_else():
    text = page([("a <b>.log", diagnose(PERF)), ("c", gso.diagnose(gso.read_trace(PATCHED)))])
    assert "a &lt;b&gt;.log" in text
    assert SET_INNER_MAC in text
    assert "inner_mac_header should be 82" in text
    text = text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"<script|<link|src=|url\(|https?:", text)


def test_a_log_without_offsets_is_told_how_to_record_them():
    text = "\n".join(report("log", diagnose(PWRU)))
    for tool, command in COMMANDS.items():
        assert f"  {tool} ({NEEDS[tool]}):\n    {command}" in text
    # pwru takes no more than four.
    assert COMMANDS["pwru"].count("--output-skb-metadata") == 4
    for command in COMMANDS.values():
        assert "skb->inner_mac_header" in command or "$s->inner_mac_header" in command
        assert shlex.split(command)


def test_link_headers_alone_are_not_drawn():
    event = (
        "sw 0 [000] 1.000000: probe:f: (ffffffff81000000) skb=0xffff888100000000 mac_header=50 "
        "inner_mac_header=60 len=10 data_len=20\n"
    )
    [case] = diagnose(event).cases
    assert case.rules == ("data-len",)
    assert list(drawing(case)) == []


# --- the commands ---


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "perf.log"
    path.write_text(PERF)
    return path


def test_diagnose_tells_people(log, capsys):
    assert run("diagnose", log) == 1
    out = capsys.readouterr().out
    for word in (
        "tnl_hlen is -2",
        "ip_vs_tunnel_xmit",
        SET_INNER_MAC,
        "should be 82",
        "tx_dropped",
    ):
        assert word in out
    assert run("diagnose", PATCHED) == 0
    assert "nothing wrong was found" in capsys.readouterr().out


def test_diagnose_tells_programs(log, capsys):
    assert run("diagnose", "--json", log, PATCHED) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["clean"] is False
    [found] = told["findings"]
    assert found["rule"] == "tunnel-header-negative"
    assert found["log"] == str(log)
    assert found["missing_call"] == SET_INNER_MAC
    assert [one["format"] for one in told["logs"]] == ["perf", "ftrace"]
    assert json.loads(json.dumps(as_json([("x", diagnose(PWRU))])))["logs"][0]["record"] == COMMANDS


def test_diagnose_reads_standard_input(log):
    command = [sys.executable, "-c", "import sys; from gso.cli import main; sys.exit(main())"]
    done = subprocess.run(
        [*command, "diagnose", "-"], input=log.read_bytes(), capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"tnl_hlen is -2" in done.stdout


def test_diagnose_writes_a_page(log, tmp_path, capsys):
    assert run("diagnose", log, "--html", tmp_path / "page.html") == 1
    assert "<svg" in (tmp_path / "page.html").read_text()
    capsys.readouterr()


@pytest.mark.parametrize("content", [b"", b"\0\1\2" * 100, b"hello\n"])
def test_what_is_no_log_is_refused(tmp_path, capsys, content):
    path = tmp_path / "log"
    path.write_bytes(content)
    assert run("diagnose", path) == 2
    assert str(path) in capsys.readouterr().err
    assert run("diagnose", tmp_path / "missing") == 2
    assert "No such file" in capsys.readouterr().err


def test_nothing_in_a_log_commands_the_terminal(tmp_path, capsys):
    path = tmp_path / "log"
    path.write_text(PERF.replace("vlan100", "v\033[2J") + "\033]0;x\n")
    assert run("diagnose", path) == 1
    assert "\033" not in capsys.readouterr().out


def test_validate_judges_a_capture(tmp_path, capsys):
    right = packets.ethernet(packets.tcp(payload=b"x" * 100))
    wrong = bytearray(right)
    wrong[60] ^= 1
    path = tmp_path / "in.pcapng"
    gso.write_capture(path, [right, bytes(wrong), bytes(wrong)])
    assert run("validate", path) == 1
    out = capsys.readouterr().out
    assert "frame-checksum (error): 2 packets (number 2, 3)" in out
    assert run("validate", path, "--mtu", 100, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert {one["rule"]: one["count"] for one in told["findings"]} == {
        "frame-checksum": 2,
        "frame-mtu": 3,
    }
    gso.write_capture(path, [right])
    assert run("validate", path) == 0
    assert "nothing wrong was found" in capsys.readouterr().out
    assert run("validate", tmp_path / "missing.pcap") == 2


@pytest.mark.parametrize(
    ("fields", "clean"),
    [
        ("gso_size=1448 gso_type=1025", False),  # TCPV4, UDP_TUNNEL
        ("gso_size=1448 gso_type=65", False),  # TCPV4, GRE
        ("gso_size=1448 encapsulation=1", False),
        ("gso_size=1448", False),  # in a tunnel or not
        ("gso_size=1448 gso_type=1", True),
        ("gso_size=1448 encapsulation=0", True),
        ("gso_size=0 gso_type=0 encapsulation=1", True),  # nothing is to be segmented
        ("gso_size=1448 gso_type=1025 inner_mac_header=84 inner_network_header=84", True),
    ],
)
def test_super_packets_in_tunnels_without_inner_offsets_are_not_called_fine(fields, clean):
    line = "0xffff888100000000 1 [a:7] __dev_queue_xmit mac_header=30 network_header=44 "
    trace = gso.read_trace(f"{line}transport_header=64 len=3000 {fields}\n".encode())
    diagnosis = gso.diagnose(trace)
    assert (len(trace), diagnosis.cases, diagnosis.clean) == (1, [], clean)
    assert diagnosis.unseen_tunnels == (not clean)
    both = diagnosis.merge([diagnosis])
    assert (both.clean, both.unseen_tunnels) == (clean, 2 * (not clean))
