"""What other tools put around the lines of a log changes nothing that is read of them."""

from __future__ import annotations

import gzip
import html
import io
import json

import pytest

import gso

PWRU = """\
0xffff9477 9   <empty>:0  4026531840 0 eth0:2 0x0800 1600 1558  192.0.2.10:3->198.51.100.1:5(udp) f
0xffff9477 9   <empty>:0  4026531840 0 eth0:2 0x0800 1600 1558  192.0.2.10:3->198.51.100.1:5(udp) g
validate_xmit_skb
ip_vs_tunnel_xmit\t[ip_vs]"""
FTRACE = """\
   <idle>-0     [001] ..s.   155.578474: f: (f+0x0/0x510) skb=0xffff9ca6 dev="a" len=1434
   <idle>-0     [001] ..s.   155.578490: kfree_skb: skbaddr=0xffff9ca6 reason: NOT_SPECIFIED
   <idle>-0     [001] ..s.   155.578495: <stack trace>
 => kfree_skb_reason
 => ip_vs_tunnel_xmit"""
DMESG = """\
[  812.123460] eth0: hw csum failure
[  812.123460] skb len=1544 headroom=50 headlen=1532 tailroom=0
[  812.123460] mac=(68,-18) mac_len=14 net=(50,20) trans=70
[  812.123460] encapsulation=1 inner(proto=0x0004, mac=68, net=82, trans=102)
[  812.123460] Call trace:
[  812.123460]  skb_warn_bad_offload+0x84/0x100"""
JSON = """\
{"skb":"0xffff888100","cpu":1,"func":"f","len":1544,"inner_mac_header":68}
{"skb":"0xffff888100","cpu":1,"func":"g","stack":"\\nvalidate_xmit_skb\\nf"}"""
LOGS = {"pwru": PWRU, "ftrace": FTRACE, "dmesg": DMESG, "json": JSON}


def docker(line: str) -> str:
    text = json.dumps({"log": line + "\n", "stream": "stdout", "time": "2026-11-28T05:17:01Z"})
    return text.replace("<", "\\u003c").replace(">", "\\u003e")


def journal(line: str) -> str:
    return json.dumps({"__CURSOR": "s=1", "MESSAGE": line, "_TRANSPORT": "kernel"})


def in_bytes(line: str) -> str:
    return json.dumps({"MESSAGE": list(line.encode()), "PRIORITY": "4"})


def logfmt(line: str) -> str:
    return f'time="2026-11-28T05:17:01Z" level=info msg={json.dumps(line)} n=1'


def web(line: str) -> str:
    return html.escape(line)


def twice(line: str) -> str:
    return html.escape(html.escape(line)) + "<br>"


WAYS = {
    "journal": "Nov 28 05:17:01 node1 kernel: {}".format,
    "journal, iso": "2026-11-28T05:17:01+0100 node1 pwru[12]: {}".format,
    "journal, full": "Sat 2026-11-28 05:17:01 UTC node1 pwru[12]: {}".format,
    "syslog": "<14>1 2026-11-28T05:17:01.123Z host app 123 - - {}".format,
    "priority": "<4>{}".format,
    "logread": "Tue Jul  2 00:34:20 2024 kern.warn kernel: {}".format,
    "CRI": "2026-11-28T05:17:01.123456789Z stdout F {}".format,
    "pod": "[pod/pwru-x7/pwru] {}".format,
    "compose": "pwru-1  | {}".format,
    "ts": "Nov 28 05:17:01 {}".format,
    "bracketed time": "[2026-11-28 05:17:01] {}".format,
    "grep -n": "12:{}".format,
    "grep -Hn": "pwru.log:12:{}".format,
    "grep -C": "12-{}".format,
    "cat -n": "    12\t{}".format,
    "grep -H": "/var/log/kern.log:{}".format,
    "less -N": "      7 {}".format,
    "bat": "   7   │ {}".format,
    "stern": "pwru-x7k2p pwru {}".format,
    "stern with namespaces": "kube-system pwru-x7k2p \u203a pwru {}".format,
    "klog": "I1128 05:17:01.123456       1 main.go:12] {}".format,
    "zap": "2026-11-28T05:17:01.123Z\tINFO\tkmsg/kmsg.go:12\t{}".format,
    "python": "INFO:root:{}".format,
    "python with time": "2026-11-28 05:17:01,123 - kmsg - INFO - {}".format,
    "logcat": "11-28 05:17:01.123     0     0 W         : {}".format,
    "router": "05:17:01 system,error,critical {}".format,
    "pdsh": "node1: {}".format,
    "console server": "[node1] {}".format,
    "loki": '2026-11-28T05:17:01+01:00 {{job="kernel"}} {}'.format,
    "syslog with data": '<4>1 2026-11-28T05:17:01Z host k - - [meta sequenceId="1"] {}'.format,
    "serial line": "[Sat Nov 28 05:17:01.123 2026] {}".format,
    "dmesg -x": "kern  :warn  : {}".format,
    "dmesg -H": "[  +0.000003] {}".format,
    "kmsg": "4,1000,812123460,-;{}".format,
    "netconsole": "6.12.0-1-amd64,4,1000,812123460,-;{}".format,
    "list": "- {}".format,
    "diff": "+{}".format,
    "mail": "> {}".format,
    "mail in mail": ">> > {}".format,
    "tab": "\t{}".format,
    "end of line": "{}\r".format,
    "colour": "\x1b[36mpwru-1  |\x1b[0m {}".format,
    "colour in syslog": "#033[36m{}#033[0m".format,
    "colour in cat -v": "^[[36m{}^[[0m".format,
    "logfmt": logfmt,
    "HTML": web,
    "HTML in HTML": twice,
    "no-break spaces": lambda line: line.replace(" ", "\u00a0"),
    "docker": docker,
    "journal, json": journal,
    "journal, bytes": in_bytes,
}


def events(text: str):
    trace = gso.read_trace(io.BytesIO(text.encode() + b"\n"))
    columns = [getattr(trace, name).tolist() for name in trace.columns]
    return trace.format, trace.damaged, trace.lines, columns, trace.state.tolist()


@pytest.mark.parametrize("kind", LOGS)
@pytest.mark.parametrize("way", WAYS)
def test_what_stands_around_lines_changes_nothing(kind, way):
    lines = LOGS[kind].split("\n")
    assert events("\n".join(map(WAYS[way], lines))) == events(LOGS[kind])


@pytest.mark.parametrize("kind", LOGS)
def test_every_line_may_have_another_prefix(kind):
    ways = [WAYS[name] for name in ("journal", "mail", "grep -n", "CRI", "docker", "compose")]
    lines = LOGS[kind].split("\n")
    mixed = [ways[n % len(ways)](line) for n, line in enumerate(lines)]
    assert events("\n".join(mixed)) == events(LOGS[kind])


def test_json_of_jq_is_read_as_lines_of_json():
    objects = [json.loads(line) for line in JSON.split("\n")]
    pretty = "\n".join(json.dumps(value, indent=2) for value in objects)
    for text in (
        *(pretty, json.dumps(objects, indent=2), json.dumps(objects, indent="\t")),
        json.dumps(objects, separators=(",", ":")),
    ):
        trace = gso.read_trace(io.BytesIO(text.encode()))
        expected = gso.read_trace(io.BytesIO(JSON.encode()))
        assert trace.damaged == 0
        assert trace.state.tolist() == expected.state.tolist()
        assert trace.stack.tolist() == expected.stack.tolist()


def entry(line: str) -> str:
    return f"__CURSOR=s=5d8;i=1a2b\n_TRANSPORT=kernel\nPRIORITY=4\nMESSAGE={line}\n"


def entry_in_words(line: str) -> str:
    return (
        "Sat 2026-11-28 05:17:01.123456 CET [s=5d8;i=1a2b;b=7f;m=3e;t=5c;x=9a]\n"
        f"    _BOOT_ID=7f2b\n    PRIORITY=4\n    MESSAGE={line}\n    _TRANSPORT=kernel"
    )


def indented(line: str) -> str:
    return json.dumps({"__CURSOR": "s=1", "MESSAGE": line, "PRIORITY": "4"}, indent="\t")


def without_lines(read):
    format, damaged, _, (_, *columns), state = read
    return format, damaged, columns, state


@pytest.mark.parametrize("kind", LOGS)
@pytest.mark.parametrize("way", [entry, entry_in_words, indented])
def test_messages_of_the_journal_may_have_several_lines(kind, way):
    lines = LOGS[kind].split("\n")
    text = "\n".join(map(way, lines))
    assert without_lines(events(text)) == without_lines(events(LOGS[kind]))
    assert events(text)[2] == text.count("\n") + 1


@pytest.mark.parametrize("kind", ["pwru", "ftrace", "dmesg"])
def test_lines_may_stand_in_an_array(kind):
    lines = LOGS[kind].split("\n")
    assert events(json.dumps(lines, indent=4))[1:] == events(f"[\n{LOGS[kind]}\n]")[1:]
    assert events(f"[\n{LOGS[kind]}\n]")[4] == events(LOGS[kind])[4]


def test_dmesg_prints_an_object_with_an_array_of_messages():
    lines = DMESG.split("\n")
    messages = [{"pri": 4, "time": 812.1, "msg": line} for line in lines]
    text = json.dumps({"dmesg": messages}, indent=3).replace("},\n      {", "},{")
    assert without_lines(events(text)) == without_lines(events(DMESG))


def test_a_log_may_be_compressed_twice():
    twice = gzip.compress(gzip.compress(PWRU.encode()))
    assert gso.read_trace(io.BytesIO(twice)).function.tolist() == ["f", "g"]


@pytest.mark.parametrize(
    ("start", "hint"),
    [
        ("d4c3b2a1020004000000000000000000ffff000001000000", "gso validate"),
        ("0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000", "gso validate"),
        ("50455246494c45326800000000000000", "perf script"),
        ("17084474726163696e673600", "trace-cmd report"),
        ("4c504b53484852480000000003000000", "journalctl --file"),
        ("7f454c46020101", "a program"),
    ],
)
def test_files_that_are_no_text_are_named(start, hint):
    with pytest.raises(gso.GsoError, match=hint):
        gso.read_trace(io.BytesIO(bytes.fromhex(start) + bytes(64)))


def test_an_object_without_an_end_is_counted():
    first, second = (json.dumps(json.loads(line), indent=1) for line in JSON.split("\n"))
    trace = gso.read_trace(io.BytesIO(f"{first[:-2]}\n{second}\n{first[:-2]}".encode()))
    assert (len(trace), trace.damaged) == (1, 2)
    assert trace.damaged_lines[0] == (1, "{")
    assert trace.function.tolist() == ["g"]


def test_a_failed_checksum_without_a_dump_is_a_finding():
    line = DMESG[: DMESG.index("\n") + 1]
    diagnosis = gso.diagnose(gso.read_trace(io.BytesIO(line.encode())))
    [case] = diagnosis.cases
    assert case.rules == ("receive-checksum",)
    assert case.packets == 1
    assert dict(case.devices) == {"eth0": 1}


GOOD = (
    "0xffff9477 9 [a] __dev_queue_xmit inner_mac_header=82 inner_network_header=82 "
    "network_header=50 transport_header=70 len=1544\n"
)


@pytest.mark.parametrize("other", ["0xffff9477zz 9 [a] f\n", "words of somebody\n"])
def test_a_log_with_lines_that_were_not_read_is_not_clean(other):
    diagnosis = gso.diagnose(gso.read_trace(io.BytesIO((GOOD + other).encode())))
    assert not diagnosis.cases
    assert not diagnosis.clean
    assert diagnosis.damaged == 1
    assert diagnosis.not_judged.startswith("1 line could not be read")


@pytest.mark.parametrize(
    "note",
    [
        "2023/05/05 10:10:10 Attaching kprobes (via kprobe-multi)...",
        "1627 / 1627 [-----------------------------] 100.00% 8 p/s",
        "2023/05/05 10:10:10 Listening for events..",
        "root@node1:~# pwru --output-meta",
        "user@node1:~$ sudo pwru",
        "```",
        "--",
        "^C",
        "# tracer: nop",
        "[  812.000001] usb 1-1: new high-speed USB device",
        "[  812.000001 <    0.000003>] usb 1-1: new high-speed USB device",
        "[Nov28 05:17] usb 1-1: new high-speed USB device",
        "[  +0.000003] usb 1-1: new high-speed USB device",
        "Script started on 2026-11-28 05:17:01+01:00",
        "[-- MARK -- Sat Nov 28 05:00:00 2026]",
        "Nov 28 05:17:01 node1 kernel: [  812.000001] usb 1-1: new device",
    ],
)
def test_what_nobody_misses_leaves_a_log_clean(note):
    for text in (GOOD + note + "\n" + GOOD, note + "\n" + GOOD):
        diagnosis = gso.diagnose(gso.read_trace(io.BytesIO(text.encode())))
        assert diagnosis.clean, diagnosis.damaged_lines


def test_a_stack_behind_the_prefix_of_another_event_is_unread():
    event = "main.go:12] 0xffff888100000000 3 <empty>:0 ip_rcv len=7\n"
    text = "".join(
        f"I1128 {word}{event}I1128 1 main.go:12] validate_xmit_skb\n" for word in ("1 ", "1 2 ")
    )
    trace = gso.read_trace(io.BytesIO(text.encode()))
    assert trace.stack.tolist() == ["validate_xmit_skb", ""]
    assert trace.damaged == 1


def test_an_object_of_json_that_is_damaged_is_no_prefix():
    whole = '{"skb":"0xffff888100","cpu":1,"func":"f"}\n'
    cut = '{"skb":"0xffff888100","func":"f","stack":"{'
    trace = gso.read_trace(io.BytesIO(f'{whole}{cut}"skb":3\n{whole}{cut}\n'.encode()))
    assert (len(trace), trace.damaged) == (2, 2)


def test_a_time_before_events_and_stacks_is_no_part_of_a_stack():
    lines = "SKB CPU PROCESS FUNC\n" + PWRU + "\nf\n" + PWRU
    text = "".join(f"2026-11-28T05:17:01.123456789Z {line}\n" for line in lines.split("\n"))
    trace = gso.read_trace(io.BytesIO(text.encode()))
    assert trace.damaged == 0
    assert trace.stack.tolist()[1] == "validate_xmit_skb\nip_vs_tunnel_xmit\nf"


def test_what_html_would_show_otherwise_is_left_in_json():
    value = "&quot;&lt;a&gt;<br>\u00a0"
    line = json.dumps({"skb": "0xffff888100", "func": "f", "caller_func": value})
    trace = gso.read_trace(io.BytesIO(f"{line}\n".encode()))
    assert trace.location.tolist() == [value]
    raw = line.replace("\\u00a0", "\u00a0")
    for text in (raw, json.dumps(json.loads(line), indent=1, ensure_ascii=False)):
        trace = gso.read_trace(io.BytesIO(f"{text}\n".encode()))
        assert trace.location.tolist() == [value]
