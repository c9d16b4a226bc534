"""Logs in mails: what mail put around their text is taken off, or said."""

from __future__ import annotations

import io
import quopri
import textwrap
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples
from gso.cli import main
from gso.traces.mail import is_mail, unfolded

PWRU = """\
0xffff947712f34400 9 [<empty>] ip_rcv netns=4026531840 mark=0x0 proto=8 len=1558 1.2.3.4:3->5.6.7.8:9(udp)
0xffff947712f34400 9 [<empty>] skb_push inner_mac_header=68 transport_header=70 len=1544 gso_size=1448
validate_xmit_skb
0xffff947712f34400 9 [<empty>] kfree_skb_reason(SKB_DROP_REASON_X) netns=4026531840 mark=0x0 len=20
"""  # noqa: E501
PERF = """\
swapper     0 [030] 79090.376153:    probe:f: (ffffffffc0feebe0) skb=0xffff9ca6 len=1544 dev="\u00e4"
\tffffffff85070e60 __dev_queue_xmit+0x1 ([kernel.kallsyms])
swapper     0 [030] 79090.376154:    probe:g: (ffffffffc0feebe0) skb=0xffff9ca6 len=7 data_len=2082
"""  # noqa: E501
DMESG = """\
[  812.123460] skb len=1544 headroom=68 headlen=1532 tailroom=0
[  812.123460] mac=(68,-18) mac_len=14 net=(50,20) trans=70
[  812.123460] shinfo(txflags=0 nr_frags=1 gso(size=1448 type=1281 segs=2))
[  812.123460] encapsulation=1 inner(proto=0x0004, mac=68, net=82, trans=102)
"""
LOGS = {"pwru": PWRU, "perf": PERF, "dmesg": DMESG}


def events(data: bytes):
    trace = gso.read_trace(io.BytesIO(data))
    columns = {n: getattr(trace, n).tolist() for n in trace.columns if n not in ("line", "reader")}
    return columns, trace.state.tolist()


@pytest.mark.parametrize("name", LOGS)
def test_a_quoted_printable_mail_has_the_events_of_its_text(name):
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = "packets vanish"
    mail.set_content("Hello,\n\n" + LOGS[name], cte="quoted-printable")
    data = mail.as_bytes()
    assert b"=3D" in data
    assert events(data) == events(LOGS[name].encode())


@pytest.mark.parametrize("name", LOGS)
def test_quoted_printable_text_without_headers(name):
    data = quopri.encodestring(LOGS[name].encode())
    assert is_mail(data)
    assert events(data) == events(LOGS[name].encode())


@pytest.mark.parametrize("delete", [False, True])
@pytest.mark.parametrize("name", LOGS)
def test_a_flowed_mail(name, delete):
    lines = []
    for line in LOGS[name].splitlines():
        parts = textwrap.wrap(line, 72, drop_whitespace=False, break_long_words=False)
        folded = "\n".join(
            part + " " * (delete and n + 1 < len(parts)) for n, part in enumerate(parts)
        )
        lines.append((" " if folded.startswith(" ") else "") + folded)
    header = "Content-Type: text/plain; charset=UTF-8;\n format=flowed" + "; delsp=yes" * delete
    data = "\n".join([header, "", *lines, ""])
    assert data.count("\n") > LOGS[name].count("\n") + 2 or name == "dmesg"
    assert events(data.encode()) == events(LOGS[name].encode())


def test_lines_keep_their_numbers():
    data = quopri.encodestring(PWRU.encode())
    trace = gso.read_trace(io.BytesIO(data))
    starts = [n for n, line in enumerate(data.split(b"\n"), 1) if line.startswith(b"0xffff")]
    assert trace.line.tolist() == starts


@pytest.mark.parametrize("log", LOGS.values())
def test_a_log_is_no_mail(log):
    assert not is_mail(log.encode())
    # Values that look like numbers of quoted-printable, in a mail that is not quoted-printable.
    header = b"Content-Type: text/plain; format=flowed\nContent-Transfer-Encoding: 8bit\n\n"
    text = b"a data_len=2082 mark=3D\n"
    assert b"".join(unfolded(io.BytesIO(header + text), quoted=False)).endswith(text)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.text("ab =\t\u00e9.F", max_size=200), min_size=1, max_size=6))
def test_quoted_printable_is_decoded_as_by_python(lines):
    text = "".join(line.rstrip() + "\n" for line in lines).encode()
    encoded = quopri.encodestring(text)
    found = b"".join(unfolded(io.BytesIO(encoded), quoted=True))
    assert found.count(b"\n") == encoded.count(b"\n")
    assert found.replace(b"\n", b"") == text.replace(b"\n", b"")


def test_a_line_that_never_ends_is_passed_on_in_pieces():
    data = b"a=3D" + b"x" * (3 << 20) + b"=\nb\n"
    pieces = list(unfolded(io.BytesIO(data), quoted=True))
    assert max(map(len, pieces)) <= 2 << 20
    assert b"".join(pieces) == b"a=" + b"x" * (3 << 20) + b"b\n\n"


FIELDS = (
    "skb=0xffff9ca661e90200 len=1544 data_len=12 gso_size=1448 gso_type=0x501 encapsulation=1 "
    "protocol=0x0800 transport_header=70 inner_mac_header=68 inner_network_header=82"
)
EVENTS = {
    "perf": "iperf3  1234 [001] 79090.376153: probe:__dev_queue_xmit: (ffffffff81a3c0c0) {}",
    "ftrace": "    <idle>-0   [001] ..s.    59.213040: ip_output: (ip_output+0x0/0x510) {}",
}


@settings(max_examples=examples(300), deadline=None)
@given(st.sampled_from(list(EVENTS)), st.integers(80, 300), st.booleans(), st.integers(1, 5))
def test_what_a_wrapped_line_lost_is_unread_and_no_event_of_its_own(name, width, whole, events):
    line = EVENTS[name].format(FIELDS)
    fold = textwrap.wrap if whole else _cut
    text = "".join(f"{part}\n" for part in events * fold(line, width))
    right = gso.read_trace(io.BytesIO(f"{line}\n".encode())).skb_state(0).known
    trace = gso.read_trace(io.BytesIO(text.encode()))
    assert len(trace) == events
    assert trace.damaged == text.count("\n") - events
    for n in range(events):
        assert trace.skb_state(n).known.items() <= right.items()


def _cut(line, width):
    """As a terminal cuts a line, within words."""
    return [line[at : at + width] for at in range(0, len(line.rstrip()), width)]


@pytest.mark.parametrize("width", [72, 76])
def test_a_wrapped_log_is_not_judged_and_says_what_to_do(width, tmp_path, capsys):
    log = tmp_path / "mail.txt"
    log.write_text("\n".join(textwrap.fill(line, width) for line in PWRU.splitlines()))
    assert main(["diagnose", str(log)]) == 2
    said = " ".join(capsys.readouterr().out.split())
    assert "not judged" in said
    assert "line was wrapped" in said
    assert "without line breaks" in said
