"""Reading logs of pwru, perf, ftrace and the kernel."""

from __future__ import annotations

import gzip
import io
import json
import lzma
from pathlib import Path

import numpy as np
import pytest

import gso
from gso import GsoError
from gso.traces._pwru import PwruScanner

DATA = Path(__file__).parents[1] / "kernel/data"
TUPLE = "172.70.4.34:33259->172.70.64.149:5501(udp)"
META = "netns=4026531840 mark=0x0 ifindex=7 proto=8 mtu=1600 len=1558"
DROP = f"kfree_skb_reason(SKB_DROP_REASON_NOT_SPECIFIED) {META} {TUPLE}"
PWRU = f"""\
0xffff947712f34400      9        [<empty>]               packet_rcv {META} {TUPLE}
0xffff947712f34400      9        [<empty>] {DROP}
kfree_skb_reason
validate_xmit_skb
ip_vs_tunnel_xmit   \t[ip_vs]
0xffff947712f34401      19       [my prog] skb_push {META} {TUPLE}
"""
OFFSETS = (
    "inner_mac_header=0x44 inner_network_header=0x52 inner_transport_header=0x66 "
    "mac_header=0x44 network_header=0x32 transport_header=0x46 len=1544 data_len=12"
)
PERF = (
    "swapper     0 [030] 79090.376153:    probe:ip_vs_in_hook: (ffffffffc0feebe0) "
    f'dev="vlan100" skb=0xffff9ca661e90200 {OFFSETS}\n'
)
FIELDS = {
    "inner_mac_header": 0x44,
    "inner_network_header": 0x52,
    "inner_transport_header": 0x66,
    "mac_header": 0x44,
    "network_header": 0x32,
    "transport_header": 0x46,
    "len": 1544,
    "data_len": 12,
    "tnl_hlen": -2,
}
DMESG = """\
[  812.123456] lo: caps=(0x00000516401d7c69, 0x0000000000000000)
[  812.123460] skb len=1544 headroom=68 headlen=1532 tailroom=0
               mac=(68,-18) mac_len=14 net=(50,20) trans=70
               shinfo(txflags=0 nr_frags=1 gso(size=1448 type=1281 segs=2))
               csum(0x100066 start=102 offset=16 ip_summed=3 complete_sw=0 valid=0 level=0)
               hash(0x0 sw=0 l4=0) proto=0x0800 pkttype=0 iif=4
               priority=0x0 mark=0x0 alloc_cpu=1 vlan_all=0x0
               encapsulation=1 inner(proto=0x0004, mac=68, net=82, trans=102)
[  812.123470] dev name=vlan100 feat=0x00000516401d7c69
[  812.123480] skb linear:   00000000: 45 00 06 08 00 00 40 00 3f 11 bd de cb 00 71 02
[  812.123490] Call Trace:
[  812.123491]  <TASK>
[  812.123492]  ? show_regs+0x6a/0x80
[  812.123493]  skb_warn_bad_offload+0x84/0x100
[  812.123494]  ip_vs_tunnel_xmit+0x5a2/0x960 [ip_vs]
[  812.123495]  </TASK>
"""


def read(text: str | bytes, format="auto") -> gso.Trace:
    data = text.encode() if isinstance(text, str) else text
    return gso.read_trace(io.BytesIO(data), format)


# --- pwru ---


def test_pwru_of_old():
    trace = read(PWRU)
    assert trace.format == "pwru"
    assert len(trace) == 3
    assert trace.damaged == 0
    assert trace.skb.tolist() == [0xFFFF947712F34400] * 2 + [0xFFFF947712F34401]
    assert trace.cpu.tolist() == [9, 9, 19]
    assert trace.process.tolist() == ["<empty>", "<empty>", "my prog"]
    assert trace.function.tolist() == ["packet_rcv", "kfree_skb_reason", "skb_push"]
    assert trace.reason.tolist() == ["", "SKB_DROP_REASON_NOT_SPECIFIED", ""]
    assert trace.flow.tolist() == [TUPLE] * 3
    assert trace.netns.tolist() == [4026531840] * 3
    assert trace.mtu.tolist() == [1600] * 3
    assert trace.ifindex.tolist() == [7] * 3
    assert trace.line.tolist() == [1, 2, 6]
    assert trace.stack[1].split("\n")[2] == "ip_vs_tunnel_xmit"
    assert trace.stack[0] == trace.stack[2] == ""
    assert trace.skb_state(0).known == {"len": 1558, "protocol": 0x0800}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "0xffff888100  [curl]  ip_output 123456789",
            {"cpu": -1, "time": 123456789, "function": "ip_output"},
        ),
        (
            f"0xffff888100 3 [<empty>] kfree_skb_reason (2) 77 {META}",
            {"reason": "2", "time": 77, "mtu": 1600},
        ),
        ("0xffff888100 3 [ksoftirqd/0:1] 0xffffffff81a3b0c0", {"function": "0xffffffff81a3b0c0"}),
        ("0xffff888100 3 [<empty>] cls_main(tc) netns=1", {"function": "cls_main", "reason": ""}),
        (
            "13:05:01.250 0xffff888100 3 [a] skb_push netns=1",
            {"time": (13 * 3600 + 5 * 60 + 1) * 10**9 + 250 * 10**6},
        ),
        (
            "0xffff888100         3   ~r/bin/curl:1234 4026531840 0           eth0:2      0x0800 "
            f"1600  1512  {TUPLE} ip_rcv",
            {"process": "~r/bin/curl:1234", "device": "eth0", "ifindex": 2, "flow": TUPLE},
        ),
        (
            "0xffff888100         3   <empty>:0        99887766         4026531840 0           "
            f"eth0:2      0x0800 1600  1512  {TUPLE} kfree_skb_reason(SKB_DROP_REASON_TCP_CSUM)",
            {"time": 99887766, "reason": "SKB_DROP_REASON_TCP_CSUM", "mtu": 1600},
        ),
        (
            "2026-01-02T13:05:01.250 0xffff888100 3 a b:7 4026531840 0 ~ery-long-name:12 0x86dd "
            f"1600  65226my-netns-name {TUPLE} ip6_output inner_mac_header=68 transport_header=70",
            {"process": "a b:7", "device": "~ery-long-name", "function": "ip6_output"},
        ),
        ("0xffff888100 3 <empty>:0 ip_rcv", {"function": "ip_rcv", "process": "<empty>:0"}),
    ],
)
def test_pwru_lines_of_every_generation(line, expected):
    trace = read(line, "pwru")
    assert len(trace) == 1, trace.damaged_lines
    assert trace.skb[0] == 0xFFFF888100
    assert {name: getattr(trace, name)[0] for name in expected} == expected


def test_pwru_of_old_writes_ethernet_types_in_hexadecimal():
    text = "".join(f"0xffff888100 3 [a] ip_rcv proto={proto}\n" for proto in ("8", "dd86", "800"))
    assert read(text).state["protocol"].tolist() == [0x0800, 0x86DD, 0x0800]


def test_a_stack_that_comes_again_is_the_same():
    line = "0xffff8881{} 3 [a] f netns=1\n"
    stacks = ["x\ny\n", "x\ny\n", "x\ny\nz\n", "", "x\n", "x\n%%%\n", "x\n\n", "x\ny\n"]
    trace = read("".join(line.format(n) + stack for n, stack in enumerate(stacks)))
    expected = [stack.replace("%%%", "").strip().replace("\n\n", "\n") for stack in stacks]
    assert trace.stack.tolist() == expected
    assert trace.line.tolist() == [1, 4, 7, 11, 12, 14, 17, 20]
    assert trace.damaged_lines == [(16, "%%%")]


def test_relative_times_of_pwru_are_no_times_of_the_log():
    form = "0xffff8881{} 3 [a] skb_push {} netns=1 inner_mac_header=68 transport_header=70 "
    form += "inner_network_header=82 network_header=50\n"
    text = "".join(form.format(*event) for event in (("01", 0), ("02", 0), ("01", 70), ("01", 30)))
    trace = read(text)
    assert trace.relative
    [case] = gso.diagnose(trace).cases
    assert [event.time for event in case.events] == [0, 70, 100]
    assert case.first_time is case.last_time is None
    assert not read(text.replace("skb_push 0", "skb_push 1")).relative


def test_pwru_columns_that_a_header_names():
    header = (
        "SKB                CPU PROCESS          NETNS      MARK/x        IFACE       PROTO  MTU   "
        "LEN      NETNS NAME FUNC CALLER"
    )
    line = "0xffff888100 3 <empty>:0 4026531840 0 eth0:2 0x0800 1600  1512   director    ip_rcv "
    trace = read(f"{header}\n{line} ip_list_rcv+0x123\n")
    assert trace.function.tolist() == ["ip_rcv"]
    assert trace.location.tolist() == ["ip_list_rcv"]
    assert trace.state["len"].tolist() == [1512]


def test_pwru_metadata_and_dumps_of_the_sk_buff():
    line = f"0xffff888100 3 [<empty>] skb_push {META} inner_mac_header=68 transport_header=70\n"
    assert read(line).skb_state(0).tnl_hlen == -2
    dump = f"0xffff888100 3 [<empty>] skb_push {META}\n(struct sk_buff){{\n"
    dump += " .len = (unsigned int)1544,\n .inner_mac_header = (__u16)68,\n"
    dump += " (union){\n  .transport_header = (__u16)0x46,\n },\n .encapsulation = (__u8)0x1,\n}\n"
    state = read(dump).skb_state(0)
    assert state.tnl_hlen == -2
    assert state.encapsulation == 1
    # A value that pwru leaves out is zero or was not printed, which cannot be told apart.
    assert state.network_header is None


def test_pwru_json():
    event = {
        "skb": "0xffff888100",
        "cpu": 3,
        "process": "my prog:7",
        "func": "kfree_skb_reason(SKB_DROP_REASON_NOT_SPECIFIED)",
        "time": 12345,
        "netns": 4026531840,
        "iface": "eth0",
        "proto": 2048,
        "mtu": 1600,
        "len": 1558,
        "tuple": {"saddr": "10.0.0.1", "daddr": "10.0.0.2", "sport": 7, "dport": 9, "proto": 17},
        "stack": "\nkfree_skb_reason\nvalidate_xmit_skb",
        "skb_metadata": "\n(struct sk_buff){\n .inner_mac_header = (__u16)68,\n}",
    }
    bad = '{"skb": "0x12'
    trace = read("\n".join([json.dumps(event), bad, json.dumps(event)]))
    assert trace.format == "pwru-json"
    assert len(trace) == 2
    assert trace.damaged == 1
    assert trace.flow.tolist() == ["10.0.0.1:7->10.0.0.2:9(udp)"] * 2
    assert trace.time.tolist() == [12345] * 2
    assert trace.device.tolist() == ["eth0"] * 2
    assert trace.reason.tolist() == ["SKB_DROP_REASON_NOT_SPECIFIED"] * 2
    assert trace.stack[0] == "kfree_skb_reason\nvalidate_xmit_skb"
    assert trace.skb_state(1).known == {"len": 1558, "protocol": 0x800, "inner_mac_header": 68}


@pytest.mark.parametrize("format", ["pwru", "pwru-json", "perf", "ftrace", "dmesg"])
@pytest.mark.parametrize("rest", ["\n", "\n\n", "\r\n \n", ")\n\n"])
def test_empty_lines_may_follow_a_damaged_one(format, rest):
    trace = read(")\n" + rest, format)
    assert len(trace) == 0
    assert trace.damaged <= 2


def test_a_line_that_ends_with_its_flow_is_damaged():
    line = (
        "0xff475bc19c022ae8 0   python3:195      39867645000      0          0               d0    "
        "    0x0800 1600  1532  203.0.113.2:51013->203.0.113.3:5501(udp) ip_rcv"
    )
    cut = line.removesuffix(" ip_rcv")
    for end in ("", " ", " \r", "\t"):
        trace = read(f"{line}\n{cut}{end}\n{line}\n", "pwru")
        assert (len(trace), trace.damaged) == (2, 1)


@pytest.mark.parametrize("port", ["1e999", "1.5", '"x"', "null", "[7]"])
def test_a_port_that_is_no_number_makes_no_flow(port):
    line = (
        '{"skb": "0xffff888100", "tuple": {"saddr": "10.0.0.1", "daddr": "10.0.0.2", "sport": %s}}'
    )
    trace = read("\n".join([line % 7, line % port, line % '"8"']))
    assert trace.damaged == 0
    assert trace.flow.tolist() == ["10.0.0.1:7->10.0.0.2:0(0)", "", "10.0.0.1:8->10.0.0.2:0(0)"]


def test_pwru_json_of_today():
    line = (
        '{"skb":"0xffff888100000000","process":"~r/bin/curl:1234",'
        '"func":"sk_skb_reason_drop(SKB_DROP_REASON_NO_SOCKET)",'
        '"caller_func":"tcp_v4_rcv+0x1f","time":"2026-01-02T13:05:01.250","netns":4026531840,'
        '"netns_name":"director","mark":7,"iface":"~ery-long-name:12","proto":34525,"mtu":1600,'
        '"len":1558,"cb":[0,0,0,0,0],"tuple":{"saddr":"[fe80::1]","daddr":"[fe80::2]",'
        '"sport":7,"dport":9,"proto":6,"flags":"SYN"},"tunnel_tuple":{"proto":17},'
        '"skb_shared_info":"\\n(struct skb_shared_info){\\n '
        '.gso_size = (short unsigned int)1448,\\n}"}'
    )
    trace = read(line)
    assert trace.damaged_lines == []
    expected = {
        **{"cpu": 0, "process": "~r/bin/curl:1234", "function": "sk_skb_reason_drop"},
        **{"reason": "SKB_DROP_REASON_NO_SOCKET", "location": "tcp_v4_rcv", "netns": 4026531840},
        **{"time": (13 * 3600 + 5 * 60 + 1) * 10**9 + 250 * 10**6, "device": "~ery-long-name"},
        **{"ifindex": 12, "mtu": 1600, "flow": "[fe80::1]:7->[fe80::2]:9(tcp)", "stack": ""},
    }
    assert {name: getattr(trace, name)[0] for name in expected} == expected
    assert trace.skb_state(0).known == {"len": 1558, "protocol": 0x86DD, "gso_size": 1448}


def test_stacks_of_json_do_not_move_the_lines_behind_them():
    line = '{"skb":"0xffff888100","func":"f","stack":"\\na\\nb"}\n'
    trace = read(line * 2 + "{\n" + line)
    assert trace.line.tolist() == [1, 2, 4]
    assert trace.damaged_lines == [(3, "{")]


# --- perf, ftrace ---


def test_perf_script():
    trace = read(PERF)
    assert trace.format == "perf"
    assert trace.skb.tolist() == [0xFFFF9CA661E90200]
    assert trace.time.tolist() == [79090_376153_000]
    assert trace.cpu.tolist() == [30]
    assert trace.process.tolist() == ["swapper"]
    assert trace.function.tolist() == ["ip_vs_in_hook"]
    assert trace.device.tolist() == ["vlan100"]
    assert trace.skb_state(0).known == FIELDS


@pytest.mark.parametrize(
    "text",
    [
        PERF.replace("0x", ""),
        PERF.replace("swapper     0", "Web Content 12/13"),
        PERF.replace(" [030]", ""),
        PERF.replace("376153", "376153000"),
        PERF.replace("swapper     0 [030]", "          <...>-123   [030] d..1."),
        PERF.replace("swapper     0 [030]", "my prog-77      (     77) [030]"),
        PERF.replace(
            "probe:ip_vs_in_hook: (ffffffffc0feebe0)", "p: (ip_vs_in_hook+0x4/0x9 [ip_vs])"
        ),
    ],
)
def test_events_in_their_many_forms(text):
    trace = read(text)
    assert len(trace) == 1, trace.damaged_lines
    assert trace.skb_state(0).known == FIELDS
    assert trace.time.tolist() == [79090_376153_000]
    assert trace.function.tolist() == ["ip_vs_in_hook"]


def test_call_chains_belong_to_the_event_before_them():
    chain = "\tffffffff85070e60 __dev_queue_xmit+0x1 ([kernel.kallsyms])\n"
    chain += "\tffffffffc0fe1000 ip_vs_tunnel_xmit+0x2a0 ([ip_vs])\n\n"
    trace = read(PERF + chain + PERF)
    assert trace.stack.tolist() == ["__dev_queue_xmit\nip_vs_tunnel_xmit", ""]


def test_ftrace_from_a_kernel():
    trace = gso.read_trace(DATA / "incident-unpatched.trace")
    assert trace.format == "ftrace"
    assert len(trace) == 10
    assert trace.damaged == 0
    assert trace.function[3] == trace.function[4] == "skb_udp_tunnel_segment"
    assert trace.returns.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert trace.result[4] == -22
    assert trace.location[5] == "validate_xmit_skb"
    assert trace.reason[5] == "NOT_SPECIFIED"
    assert trace.stack[5].split("\n")[8] == "ip_vs_tunnel_xmit"
    assert trace.skb_state(3).tnl_hlen == -2


def test_lost_events_and_faults():
    text = "CPU:0 [LOST 123 EVENTS]\n" + PERF.replace(
        "mac_header=0x44 net", "mac_header=(fault) net"
    )
    trace = read(text, "ftrace")
    assert trace.lost == 123
    assert trace.skb_state(0).mac_header is None
    assert trace.skb_state(0).inner_mac_header == 0x44


_WIDE = ("4294967294", "0xfffffffe", "18446744073709551614", "0xfffffffffffffffe")


@pytest.mark.parametrize("value", ["-2", "65534", "0xfffe", *_WIDE])
def test_minus_2_however_it_is_printed(value):
    line = PERF.replace("inner_mac_header=0x44", f"tnl_hlen={value} mac_header={value}")
    state = read(line.replace(" mac_header=0x44", "").replace("transport_header", "x")).skb_state(0)
    assert state.tnl_hlen == -2
    assert state.mac_header == 0xFFFE


# --- dmesg ---


def test_skb_dump():
    trace = read(DMESG + DMESG)
    assert trace.format == "dmesg"
    assert len(trace) == 2
    assert trace.time[0] == 812_123460_000
    assert trace.device.tolist() == ["vlan100"] * 2
    assert trace.stack[1] == "skb_warn_bad_offload\nip_vs_tunnel_xmit"
    expected = {**FIELDS, "gso_size": 1448, "gso_type": 1281, "csum_start": 102, "csum_offset": 16}
    expected.update(ip_summed=3, protocol=0x0800, encapsulation=1, headroom=68)
    assert trace.skb_state(0).known == expected


def test_skb_dump_of_an_older_kernel():
    text = DMESG.replace("mac=(68,-18)", "mac=(-1,-1)").split("               encapsulation")[0]
    state = read(text).skb_state(0)
    assert state.mac_header == 0xFFFF
    assert state.inner_mac_header is None


# --- files that are no trace, or a damaged one ---


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"\x7fELF\x02\x01\x01" + bytes(100), "a program or a dump of memory"),
        (b"\x7fAAA\x02\x01\x01" + bytes(100), "binary: byte 7 is zero"),
        ("0xffff 1 [x] skb_push".encode("utf-16-le"), "UTF-16 without .* iconv"),
        ("0xffff 1 [x] skb_push".encode("utf-32"), "UTF-32"),
        (b"Lorem ipsum\ndolor sit amet\n", "none of its first 2 lines"),
        (b"x" * 3_000_000, "its only line has no format"),
    ],
)
def test_what_is_no_trace_is_refused(data, message):
    with pytest.raises(GsoError, match=message):
        read(data)


def same(one: gso.Trace, other: gso.Trace) -> None:
    assert one.state.tolist() == other.state.tolist()
    for name in one.columns:
        assert getattr(one, name).tolist() == getattr(other, name).tolist(), name
    assert (one.format, one.lines, one.damaged) == (other.format, other.lines, other.damaged)
    assert one.damaged_lines == other.damaged_lines


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("format", ["auto", "pwru"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_byte_order_mark_costs_nothing(encoding, format, threads, pack):
    text = PWRU * 500 + "%%%\n" + PWRU.replace("my prog", "é😀")
    data = text.encode(encoding)
    if encoding == "utf-16-be":
        data = b"\xfe\xff" + data
    read_it = gso.read_trace(io.BytesIO(pack(data)), format, threads=threads)
    same(read_it, read(text))
    assert read_it.process[-1] == "é😀"


def test_what_is_damaged_in_utf16_costs_only_its_line():
    data = PWRU.encode("utf-16") + b"\x00\xd8" + "\n".encode("utf-16-le") + PWRU.encode("utf-16-le")
    for end in (b"", b"x"):
        trace = read(data + end)
        assert (len(trace), trace.damaged) == (6, 1 + len(end))


def test_a_mark_in_a_pipe_may_come_byte_by_byte(monkeypatch):
    class Slow(io.BytesIO):
        def read(self, size=-1, /):
            return super().read(min(size, 3))

    monkeypatch.setattr("gso.traces.source._SAMPLE", 7)
    for encoding in ("utf-8-sig", "utf-16"):
        same(gso.read_trace(Slow(PWRU.encode(encoding)), "pwru"), read(PWRU, "pwru"))


def test_damaged_lines_cost_only_themselves():
    lines = PWRU.splitlines()[:2]
    text = "\n".join([lines[0], "0xffffzz 1 [a] f", lines[1], "0x123", "%%%", lines[0]])
    trace = read(text)
    assert len(trace) == 3
    assert trace.damaged == 3
    assert [number for number, _ in trace.damaged_lines] == [2, 4, 5]
    assert trace.damaged_lines[2][1] == "%%%"


def test_one_huge_line_is_passed_over():
    huge = b"0xffff888100 3 [" + b"a" * 5_000_000
    trace = read(PWRU.encode() + huge + b"\n" + PWRU.encode())
    assert len(trace) == 6
    assert trace.damaged == 1
    assert trace.damaged_lines[0][0] == 7
    assert trace.line.tolist()[-1] == 13


def test_only_the_first_damaged_lines_are_kept():
    trace = read(PWRU + "0xzz 1 [a] f\n" * 1000)
    assert trace.damaged == 1000
    assert len(trace.damaged_lines) == 10


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_compressed_logs(compress, tmp_path):
    path = tmp_path / "log"
    path.write_bytes(compress(PWRU.encode()))
    assert len(gso.read_trace(path)) == 3
    path.write_bytes(compress(PWRU.encode() * 5000)[:-100])
    with pytest.raises(GsoError, match="compressed data is damaged"):
        gso.read_trace(path)


def test_text_files_and_unknown_formats_are_refused():
    with pytest.raises(TypeError, match="binary mode"):
        gso.read_trace(io.StringIO(PWRU))
    with pytest.raises(ValueError, match="not auto or one of pwru"):
        read(PWRU, "xml")


def test_batches_are_the_whole():
    data = PWRU.encode() * 500
    whole = read(data)
    with gso.TraceReader(io.BytesIO(data), rows=7) as reader:
        batches = list(reader)
    assert max(map(len, batches)) == 7
    assert np.concatenate([batch.function for batch in batches]).tolist() == whole.function.tolist()
    assert np.concatenate([batch.stack for batch in batches]).tolist() == whole.stack.tolist()
    assert np.concatenate([batch.line for batch in batches]).tolist() == whole.line.tolist()


def test_a_full_batch_takes_no_event_however_it_is_written():
    line = PERF.replace(": ", ":\t").encode()
    with gso.TraceReader(io.BytesIO(line * 50), "perf", rows=1) as reader:
        assert [len(batch) for batch in reader][:50] == [1] * 50


def test_a_batch_ends_early_when_its_names_fill_their_room():
    lines = "".join(f"0xffff8881{n:05x} 1 [p{n}] f{n} netns=1\n" for n in range(200)).encode()
    scanner = PwruScanner(room=500)
    at, functions = 0, []
    while at < len(lines):
        at, full = scanner.feed(lines, at)
        columns, _, names = scanner.take()
        functions += [names[number] for number in columns["function"]]
        assert sum(map(len, names)) < 600 or not full
    assert functions == [f"f{n}" for n in range(200)]


def test_a_pipe_that_gives_little_at_a_time():
    class Slow(io.RawIOBase):
        data = io.BytesIO(PWRU.encode() * 20)

        def readable(self):
            return True

        def read(self, size=-1):
            return self.data.read(min(size, 7))

    assert len(gso.read_trace(Slow())) == 60


def test_arrow():
    pytest.importorskip("pyarrow")
    table = read(PERF + PERF.replace("mac_header=0x44 net", "mac_header=(fault) net")).to_arrow()
    rows = table.to_pylist()
    assert rows[0]["function"] == "ip_vs_in_hook"
    assert rows[0]["skb_mac_header"] == 0x44
    assert rows[1]["skb_mac_header"] is None
    assert rows[0]["reason"] is None
    assert rows[0]["time"] == 79090_376153_000


def test_arrow_shares_the_columns():
    pytest.importorskip("pyarrow")
    trace = read(PERF * 100)
    table = trace.to_arrow()
    for name in ("line", "time", "skb", "cpu"):
        [chunk] = table[name].chunks
        assert chunk.buffers()[1].address == trace.columns[name].ctypes.data, name
    [chunk] = table["function"].chunks
    assert chunk.indices.buffers()[1].address == trace.columns["function"].ctypes.data


def columns_of(data: bytes, threads: int = 1) -> list[object]:
    trace = gso.read_trace(io.BytesIO(data), threads=threads)
    return [trace.damaged, trace.relative, trace.lost, trace.columns["line"].tolist()]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            b"0xffff888100 3 [a] ip_rcv 123 netns=1\n0xffff888100 3 [a] ip_rcv 0 netns=1\n",
            [0, False, 0, [1, 2]],
        ),
        (
            b"0xffff888100 3 [a] ip_rcv 123 netns=1\n0xffff888100 3 ["
            + b"a" * ((1 << 20) + 100)
            + b"] ip_rcv 123 netns=1\n0xffff888100 3 [a] ip_rcv 123 netns=1\n",
            [1, False, 0, [1, 3]],
        ),
        (
            PERF.encode() + b"[LOST 9223372036854775809]\n[LOST -3]\n[LOST 7\n[LOST 99999999999\n",
            [0, False, 7, [1]],
        ),
    ],
    ids=["zero time of a later event", "long line like the one before", "lost without end"],
)
def test_what_the_line_before_does_not_change(data: bytes, expected: list[object]) -> None:
    assert columns_of(data) == columns_of(data, threads=2) == expected
