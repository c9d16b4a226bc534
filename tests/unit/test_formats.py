"""Logs of tools that show few fields: what they show is read, and the rest stays unknown."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

import gso
from gso.cli import main
from gso.traces.formats import READERS, table

PAGE = Path(__file__).parents[2] / "docs" / "logs.md"

DROPWATCH = """\
Initializing kallsyms db
dropwatch> start
Enabling monitoring...
Kernel monitoring activated.
Issue Ctrl-C to stop monitoring
3 drops at validate_xmit_skb+1a2 (0xffffffffa2b8c1d2) [software]
12 drops at location 0xffffffffa2b8c999 [software]
2 drops at ttl_value_is_too_small [hardware]
"""
DROPWATCH_PACKETS = """\
Alert mode successfully set
drop at: validate_xmit_skb+0x158/0x340 (0xffffffff81a3b0c0)
origin: software
input port ifindex: 4
input port name: vxlan100
timestamp: Fri Nov 27 17:18:02 2026 712681502 nsec
protocol: 0x800
length: 200
original length: 1544
drop reason: NOT_SPECIFIED

drop at: udp_queue_rcv_one_skb+0x1/0x2 (0xffffffff81a3b0c0)
origin: software
drop reason: UDP_CSUM
"""
TCPDROP = """\
TIME     PID     IP SADDR:SPORT          > DADDR:DPORT          STATE (FLAGS)        REASON (CODE)
14:46:49 0       4  192.0.2.10:80        > 198.51.100.55:33280  SYN_SENT (SYN|ACK)   NETFILTER_DROP (12)
\tb'sk_skb_reason_drop+0x1e4'
\tb'nft_do_chain+0x93c'
\tb'nf_hook_slow+0xb0'

14:46:50 4711    6  2001:db8::1:80       > 2001:db8::2:33280    ESTABLISHED (ACK)
\tkfree_skb_reason+0x1
\tvalidate_xmit_skb+0x2
"""  # noqa: E501
TCPDROP_BT = """\
Tracing tcp drops. Hit Ctrl-C to end.
TIME     PID      COMM             SADDR:SPORT           DADDR:DPORT           STATE
00:39:21 0        swapper/2         192.0.2.31:3306     198.51.100.82:50552  ESTABLISHE
\ttcp_drop+0x1
\ttcp_v4_do_rcv+0x135
"""
PERF_TRACE = """\
     0.000 swapper/3/0 skb:kfree_skb(skbaddr: 0xffff9ca661e90200, location: 0xffffffff81a3b0c0, \
protocol: 2048, reason: SKB_DROP_REASON_NO_SOCKET)
                                       kfree_skb_reason ([kernel.kallsyms])
                                       udp_queue_rcv_one_skb ([kernel.kallsyms])
     1.250 ( 0.010 ms): curl/506057 net:net_dev_start_xmit(name: "eth0", skbaddr: \
0xffff9ca661e90300, len: 1544, data_len: 1460, ip_summed: 3, gso_size: 1448, gso_type: 1)
     2.500 ping/2465 skb:consume_skb:skbaddr=0xffff9ca661e90300
"""
RETIS = """\
L2+L3 packet filter(s) loaded
12313349514683 (1) [isc-net-0000] 26822/26823 [k] skb_udp_tunnel_segment #b32ecd2e5bbffff8ca00f0c6100 \
(skb ffff8ca396cf4600)
    skb_udp_tunnel_segment+0x1
    inet_gso_segment+0x15b
  192.0.2.1.43366 > 198.51.100.2.5501 tos 0x0 ttl 64 id 1 off 0 [DF] len 1544 proto UDP (17) len 1524
  ns 0x1/4026531840 if 4 (wlp82s0) rxif 3
  skb [csum partial (start 102 off 16) hash 0x51d2 len 1544 data_len 1460 priority 0 users 1 dataref 1] \
gso [type 0x501 frags 1 segs 2 size 1448]
  ↳ 12313349527752 (1) [ping] 26822 [tp] skb:kfree_skb #b32e (skb ffff8ca396cf4600) n 1 drop \
(reason NO_SOCKET)
      2001:db8::1.53 > 2001:db8::2.46050 ttl 64 label 0x10 len 59 proto UDP (17) len 51
"""  # noqa: E501
RETIS_JSON = (
    '{"common":{"timestamp":1},"startup":{"retis_version":"v1.6.0"}}\n'
    '{"common":{"timestamp":23868643385999,"smp_id":3,"task":{"pid":11,"tgid":11,"comm":"ping"}},'
    '"kernel":{"symbol":"skb:kfree_skb","probe_type":"raw_tracepoint",'
    '"stack_trace":["kfree_skb_reason+0x1","validate_xmit_skb+0x2"]},'
    '"skb-tracking":{"orig_head":18446616568293939200,"skb":18446616546229617920,"timestamp":1},'
    '"skb-drop":{"drop_reason":"NOT_SPECIFIED"},'
    '"skb":{"meta":{"len":1544,"data_len":12,"hash":0,"ip_summed":3,"csum":1048678},'
    '"gso":{"flags":1,"frags":1,"size":1448,"segs":2,"type":1281}},'
    '"netns":{"cookie":3,"inum":4026532741},"dev":{"name":"veth-ns01","ifindex":11}}\n'
    '{"common":{"smp_id":0,"timestamp":5},"kernel":{"probe_type":"kprobe","symbol":"tcp_v4_rcv"},'
    '"skb":{"daddr":"192.0.2.136","dev_name":"eth0","dport":39308,"etype":2048,"ip_version":4,'
    '"ifindex":3,"netns":4026531840,"protocol":6,"saddr":"198.51.100.24","sport":443}}\n'
)
NETTRACE = """\
begin trace...
***************** ffff888f97491800,ffff888f97491900 ***************
[3314844.867784] [ip_output           ] TCP: 192.0.2.1:40392 -> 198.51.100.2:22 seq:1, ack:2, flags:A
[3314844.867790] [validate_xmit_skb   ] TCP: 192.0.2.1:40392 -> 198.51.100.2:22 seq:1, ack:2, flags:A
[3314844.867791] [kfree_skb           ] TCP: 192.0.2.1:40392 -> 198.51.100.2:22 seq:1, ack:2, flags:A \
*reason: NOT_SPECIFIED, validate_xmit_skb+0x1a2*
Call Stack:
    -> [ffffffff81a3b0c0]kfree_skb_reason+0x1
    -> [ffffffff81a3b0c8]validate_xmit_skb+0x1a2

[2553.203430] UDP: 192.0.2.9:51136 -> 192.0.2.1:53 *reason: NO_SOCKET, udp_rcv+0x132*
[2553.203431] 192.0.2.9:51136 -> 192.0.2.1:53 TCP seq:1, ack:2, flags:A reason:TCP_CSUM tcp_v4_rcv+0x9
[2553.203432] [e9021800][ip_rcv              ][cpu:3  ][eth0 ][iperf3-12][ns:4026531840] \
TCP: 192.0.2.1:1 -> 192.0.2.2:2 seq:1, ack:2, flags:S
"""  # noqa: E501
GRAPH = """\
# tracer: function_graph
#
# CPU  DURATION                  FUNCTION CALLS
# |     |   |                     |   |   |   |
 12)               |  vxlan_xmit_one [vxlan]() {
 12)   0.505 us    |    vxlan_find_vni [vxlan]();
 12) + 21.100 us   |    skb_mac_gso_segment(); /* = 0xffffffea */
 12)   3.821 us    |  } /* __skb_gso_segment ret=-22 */
 12)   3.821 us    |  }
 ------------------------------------------
 12)  iperf3-1234   =>    <idle>-0
 ------------------------------------------
"""
CRASH = """\
crash> struct sk_buff ffff3000651a2e00
struct sk_buff {
  {
    {
      next = 0x0,
      {
        dev = 0xffff300009d3b000,
        dev_scratch = 1
      }
    },
    rbnode = {
      __rb_parent_color = 0,
      len = 7
    }
  },
  cb = "\\000, len = 9",
  len = 1544,
  data_len = 12,
    ip_summed = 3 '\\003',
    encapsulation = 1 '\\001',
  inner_transport_header = 102,
  inner_network_header = 82,
  inner_mac_header = 68,
  transport_header = 70,
  network_header = 50,
  mac_header = 36,
  head = 0xffff3000177b7800 "\\001",
}
struct skb_shared_info {
  gso_size = 1448,
  gso_type = 1281,
  frags = {{
      len = 5
    }}
}
"""
DRGN = """\
>>> skb
*(struct sk_buff *)0xffff8ca396cf4600 = {
\t.len = (unsigned int)1544,
\t.inner_mac_header = (__u16)0x44,
\t.inner_network_header = (__u16)82,
\t.transport_header = (__u16)70,
}
"""
BPFTRACE = """\
Attaching 3 probes...
kprobe:skb_udp_tunnel_segment skb=0xffff9ca661e90200 len=1544 gso_size=1448 inner_mac_header=68 \
inner_network_header=82 transport_header=70

        skb_udp_tunnel_segment+1
        inet_gso_segment+347

@[
    kfree_skb_reason+1
    validate_xmit_skb+418
    __dev_queue_xmit+1234
]: 12
@drops[SKB_DROP_REASON_NO_SOCKET, udp_rcv]: 5
@[SKB_CONSUMED]: 34
@total: 51
Lost 7 events
"""


def read(text: str, format="auto") -> gso.Trace:
    return gso.read_trace(io.BytesIO(text.encode()), format)


def known(trace: gso.Trace, index: int) -> dict[str, int]:
    return trace.skb_state(index).known


def test_summaries_of_dropwatch_count():
    trace = read(DROPWATCH)
    assert trace.format == "dropwatch"
    assert trace.damaged == 0
    assert trace.location.tolist() == [
        "validate_xmit_skb",
        "0xffffffffa2b8c999",
        "ttl_value_is_too_small",
    ]
    assert trace.counts().tolist() == [3, 12, 2]
    diagnosis = gso.diagnose(trace)
    [case] = diagnosis.cases
    assert (case.rules, case.packets, case.dropped) == (("dropped-in-segmentation",), 3, 3)
    assert sum(diagnosis.drops.values()) == 14


def test_packets_of_dropwatch():
    trace = read(DROPWATCH_PACKETS)
    assert trace.damaged == 0
    assert trace.reason.tolist() == ["NOT_SPECIFIED", "UDP_CSUM"]
    assert trace.location.tolist() == ["validate_xmit_skb", "udp_queue_rcv_one_skb"]
    assert (trace.device[0], trace.ifindex[0]) == ("vxlan100", 4)
    assert known(trace, 0) == {"len": 1544, "protocol": 0x0800}
    assert known(trace, 1) == {}


def test_tcpdrop_of_bcc():
    trace = read(TCPDROP)
    assert trace.format == "tcpdrop"
    assert trace.damaged == 0
    assert trace.reason.tolist() == ["NETFILTER_DROP", ""]
    assert trace.flow[0] == "192.0.2.10:80->198.51.100.55:33280(tcp)"
    assert trace.stack[0].split("\n") == ["sk_skb_reason_drop", "nft_do_chain", "nf_hook_slow"]
    assert trace.time[0] == ((14 * 60 + 46) * 60 + 49) * 10**9
    [case] = gso.diagnose(trace).cases
    assert case.drop[2] == "validate_xmit_skb"


def test_tcpdrop_of_bpftrace():
    trace = read(TCPDROP_BT)
    assert trace.damaged == 0
    assert trace.process[0] == "swapper/2"
    assert trace.stack[0] == "tcp_drop\ntcp_v4_do_rcv"


def test_perf_trace():
    trace = read(PERF_TRACE)
    assert trace.format == "perf-trace"
    assert trace.damaged == 0
    assert trace.function.tolist() == ["kfree_skb", "net_dev_start_xmit", "consume_skb"]
    assert trace.process.tolist() == ["swapper/3", "curl", "ping"]
    assert trace.time.tolist() == [0, 1_250_000, 2_500_000]
    assert trace.reason[0] == "SKB_DROP_REASON_NO_SOCKET"
    assert trace.skb[0] == 0xFFFF9CA661E90200
    assert trace.stack[0] == "kfree_skb_reason\nudp_queue_rcv_one_skb"
    expected = {"len": 1544, "data_len": 1460, "ip_summed": 3, "gso_size": 1448, "gso_type": 1}
    assert known(trace, 1) == expected
    assert trace.device[1] == "eth0"


def test_retis():
    trace = read(RETIS)
    assert trace.format == "retis"
    assert trace.function.tolist() == ["skb_udp_tunnel_segment", "kfree_skb"]
    assert trace.skb.tolist() == [0xFFFF8CA396CF4600] * 2
    assert trace.time[0] == 12313349514683
    assert trace.cpu.tolist() == [1, 1]
    assert trace.process.tolist() == ["isc-net-0000", "ping"]
    assert trace.stack[0] == "skb_udp_tunnel_segment\ninet_gso_segment"
    assert trace.flow[0] == "192.0.2.1:43366->198.51.100.2:5501(udp)"
    assert trace.flow[1] == "[2001:db8::1]:53->[2001:db8::2]:46050(udp)"
    assert (trace.device[0], trace.ifindex[0], trace.netns[0]) == ("wlp82s0", 4, 4026531840)
    assert known(trace, 0) == {
        **{"len": 1544, "data_len": 1460, "ip_summed": 3, "csum_start": 102, "csum_offset": 16},
        **{"gso_size": 1448, "gso_type": 0x501},
    }
    assert trace.reason[1] == "NO_SOCKET"


def test_retis_in_json():
    trace = read(RETIS_JSON)
    assert trace.format == "retis-json"
    assert trace.damaged == 0
    assert trace.function.tolist() == ["kfree_skb", "tcp_v4_rcv"]
    assert trace.skb[0] == 18446616546229617920
    assert trace.stack[0] == "kfree_skb_reason\nvalidate_xmit_skb"
    assert (trace.cpu[0], trace.process[0], trace.reason[0]) == (3, "ping", "NOT_SPECIFIED")
    assert (trace.device[0], trace.ifindex[0], trace.netns[0]) == ("veth-ns01", 11, 4026532741)
    assert known(trace, 0) == {
        **{"len": 1544, "data_len": 12, "ip_summed": 3, "csum_start": 102, "csum_offset": 16},
        **{"gso_size": 1448, "gso_type": 1281},
    }
    assert trace.flow[1] == "198.51.100.24:443->192.0.2.136:39308(tcp)"
    assert (trace.device[1], trace.netns[1]) == ("eth0", 4026531840)
    assert known(trace, 1) == {"protocol": 0x0800}


def test_nettrace():
    trace = read(NETTRACE)
    assert trace.format == "nettrace"
    assert trace.damaged == 0
    names = ["ip_output", "validate_xmit_skb", "kfree_skb", "kfree_skb", "kfree_skb", "ip_rcv"]
    assert trace.function.tolist() == names
    assert trace.skb[:3].tolist() == [0xFFFF888F97491800] * 3
    assert trace.reason.tolist() == ["", "", "NOT_SPECIFIED", "NO_SOCKET", "TCP_CSUM", ""]
    assert trace.location[2:5].tolist() == ["validate_xmit_skb", "udp_rcv", "tcp_v4_rcv"]
    assert trace.flow[3] == "192.0.2.9:51136->192.0.2.1:53(udp)"
    assert trace.flow[4] == "192.0.2.9:51136->192.0.2.1:53(tcp)"
    assert trace.stack[2] == "kfree_skb_reason\nvalidate_xmit_skb"
    assert (trace.cpu[5], trace.device[5], trace.process[5]) == (3, "eth0", "iperf3")
    assert trace.netns[5] == 4026531840


def test_function_graph():
    trace = read(GRAPH)
    assert trace.format == "function-graph"
    assert trace.damaged == 0
    names = ["vxlan_xmit_one", "vxlan_find_vni", "skb_mac_gso_segment", "__skb_gso_segment"]
    assert trace.function.tolist() == names
    assert trace.cpu.tolist() == [12] * 4
    assert trace.result[2:].tolist() == [-22, -22]
    assert not gso.diagnose(trace).clean


def test_an_sk_buff_in_crash():
    trace = read(CRASH)
    assert trace.format == "sk_buff"
    assert len(trace) == 1
    assert trace.skb[0] == 0xFFFF3000651A2E00
    assert known(trace, 0) == {
        **{"len": 1544, "data_len": 12, "ip_summed": 3, "encapsulation": 1},
        **{"inner_transport_header": 102, "inner_network_header": 82, "inner_mac_header": 68},
        **{"transport_header": 70, "network_header": 50, "mac_header": 36, "tnl_hlen": -2},
        **{"gso_size": 1448, "gso_type": 1281},
    }
    [case] = gso.diagnose(trace).cases
    assert case.rules[0] == "tunnel-header-negative"


def test_an_sk_buff_in_drgn():
    trace = read(DRGN)
    assert trace.skb[0] == 0xFFFF8CA396CF4600
    assert known(trace, 0)["inner_mac_header"] == 0x44
    assert known(trace, 0)["tnl_hlen"] == -2


def test_bpftrace():
    trace = read(BPFTRACE)
    assert trace.format == "bpftrace"
    assert trace.damaged == 0
    assert trace.lost == 7
    names = ["skb_udp_tunnel_segment", "kfree_skb_reason", "kfree_skb", "consume_skb"]
    assert trace.function.tolist() == names
    assert trace.counts().tolist() == [1, 12, 5, 34]
    assert trace.stack[0] == "skb_udp_tunnel_segment\ninet_gso_segment"
    assert trace.stack[1].split("\n")[1] == "validate_xmit_skb"
    assert (trace.reason[2], trace.location[2]) == ("SKB_DROP_REASON_NO_SOCKET", "udp_rcv")
    assert known(trace, 0)["tnl_hlen"] == -2
    rules = {case.rules[0]: case.packets for case in gso.diagnose(trace).cases}
    assert rules == {"tunnel-header-negative": 1, "dropped-in-segmentation": 12}


ALL = [DROPWATCH, DROPWATCH_PACKETS, TCPDROP, TCPDROP_BT, PERF_TRACE, RETIS, RETIS_JSON, NETTRACE]
ALL += [GRAPH, CRASH, DRGN, BPFTRACE]


@pytest.mark.parametrize("text", ALL)
def test_a_log_in_two_formats_is_read_as_both(text):
    pwru = "0xffff888100 3 [a] ip_rcv netns=1 len=7\n"
    both = read(text + pwru + text)
    assert len(both) == 2 * len(read(text)) + 1
    assert both.function[len(read(text))] == "ip_rcv"


@pytest.mark.parametrize("text", ALL)
def test_unknown_fields_are_never_clean(text):
    diagnosis = gso.diagnose(read(text))
    seen = bool(diagnosis.judged) and not diagnosis.unseen_tunnels
    assert diagnosis.clean == (not diagnosis.cases and seen)


FOREIGN = [
    ("tcpdump's text", "12:00:00.000001 IP 192.0.2.1.80 > 192.0.2.2.9: Flags [S], seq 1\n"),
    ("tcpdump's text", "1764300000.123456 IP6 2001:db8::1.80 > 2001:db8::2.9: UDP, length 1\n"),
    (
        "tcpdump's text",
        "12:00:00.000001 IP (tos 0x0, ttl 64, id 0, offset 0, flags [DF], proto UDP (17), "
        "length 29)\n    192.0.2.1.80 > 192.0.2.2.9: UDP, length 1\n",
    ),
    (
        "tshark's text",
        "    1 0.000000000    192.0.2.1 \u2192 192.0.2.2    UDP 1558 33259 \u2192 5501 Len=1516\n",
    ),
    ("tshark's text", "  1   0.000000  2001:db8::1 -> 2001:db8::2  TCP 74 80 > 9 [SYN]\n"),
    (
        "the text of cilium monitor",
        "-> endpoint 12 flow 0x1 identity 2->3 state new ifindex lxc1\n",
    ),
    (
        "the text of cilium monitor",
        "CPU 01: MARK 0x0 FROM 1234 to-network: 1558 bytes (128 captured), state new\n",
    ),
    (
        "the text of hubble observe",
        "Nov 28 05:17:01.123: default/a:40392 (ID:12) -> default/b:80 (ID:13) "
        "to-endpoint FORWARDED (TCP Flags: SYN)\n",
    ),
    (
        "hubble's JSON",
        '{"flow":{"time":"2026-11-28T05:17:01.1Z","uuid":"1-2","verdict":"DROPPED"}}\n',
    ),
    ("the text of nft monitor trace", "trace id a95ea7ef ip filter trace_chain packet: iif eth0\n"),
    ("the log of calico's policies", "calico-packet: IN=cali1 OUT=eth0 SRC=192.0.2.1\n"),
    (
        "the log of calico's daemons",
        "2026-11-28 05:17:01.123 [INFO][123] felix/int_dataplane.go 1259: Applying updates\n",
    ),
]


@pytest.mark.parametrize(("name", "line"), FOREIGN)
def test_text_without_sk_buffs_is_named(tmp_path, capsys, name, line):
    log = tmp_path / "log"
    log.write_text(3 * line)
    assert main(["diagnose", str(log)]) == 2
    text = " ".join(capsys.readouterr().out.split())
    assert f"This looks like {name}" in text
    assert "no sk_buff" in text
    assert "bpftrace -B none" in text


def test_the_command_and_the_page_show_the_table(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["diagnose", "--formats"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown == table()
    assert len(shown) == len(READERS) + 2
    page = PAGE.read_text()
    assert "\n".join(shown) in page
    assert len(re.findall(r"^\| `", page, re.MULTILINE)) == len(READERS)


@pytest.mark.parametrize(
    "line",
    [
        "virtio_net_hdr flags=1 gso_type=4 hdr_len=74 gso_size=1428 csum_start=54 csum_offset=16",
        "  vhost-1 [001] ..... 12.123450: tun_x: (tun_get_user+0x1/0x5) skb=0xffff9ca661e90200 "
        "gso_type=4 hdr_len=74 gso_size=1428 csum_start=54 csum_offset=16 len=2922",
    ],
)
def test_fields_of_a_virtio_header_are_not_those_of_an_sk_buff(line):
    own = "skb=0xffff9ca661e90200 gso_type=1 gso_size=1428 len=2922 network_header=50"
    trace = read(f"{line}\n{own}\n{line}\n")
    for index in (0, 2):
        seen = known(trace, index)
        assert not {"gso_type", "gso_size", "csum_start", "csum_offset"} & {*seen}
    assert known(trace, 1)["gso_type"] == 1


def test_bpftrace_in_json():
    text = (
        '{"type": "attached_probes", "data": {"probes": 2}}\n'
        '{"type": "printf", "data": "ip_output skb=0xffff9ca661e90200 len=1544 gso_size=1448\\n"}\n'
        '{"type": "lost_events", "data": {"events": 3}}\n'
    )
    trace = read(text)
    assert (trace.format, len(trace), trace.damaged, trace.lost) == ("bpftrace", 1, 0, 3)
    assert trace.function.tolist() == ["ip_output"]
    assert known(trace, 0) == {"len": 1544, "gso_size": 1448}
    # A map in JSON is not read: it is counted.
    assert read(text + '{"type": "map", "data": {"@": {"f_g": 12}}}\n').damaged == 1


UNKNOWN_TIME = -(1 << 63)
FIELDS = "skb=0xffff9ca661e90200 len=1544 gso_size=1448"
TIMED = {
    "perf": f"iperf3  12 [001] {{}}: probe:f_g: (ffffffff81a3c0c0) {FIELDS}",
    "ftrace": f"  iperf3-12  [001] ..s. {{}}: f_g: (f_g+0x0/0x510) {FIELDS}",
    "dmesg": "[{}] skb len=1544 headroom=50 headlen=96 tailroom=0",
}


@pytest.mark.parametrize("line", TIMED.values(), ids=TIMED)
@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("1732842061.123456", 1732842061_123456_000),
        ("9223372035.999999", 9223372035_999999_000),
        ("9223372037.000000", UNKNOWN_TIME),
        ("9999999999.999999", UNKNOWN_TIME),
        ("18446744073.709551", UNKNOWN_TIME),
        ("1732842061123456.789000", UNKNOWN_TIME),
    ],
)
def test_a_time_that_64_bits_do_not_hold_is_unknown(line, time, expected):
    trace = read(line.format(time) + "\n")
    assert (len(trace), trace.damaged) == (1, 0)
    assert trace.time.tolist() == [expected]


@pytest.mark.parametrize(
    ("time", "expected"),
    [("9223372037.001", 9223372037_001_000), ("9223372036855.000", UNKNOWN_TIME)],
)
def test_times_of_perf_trace_are_milliseconds(time, expected):
    trace = read(f"{time} iperf3/12 skb:f_g(skbaddr: 0xffff9ca661e90200, len: 1544)\n")
    assert trace.time.tolist() == [expected]


def test_what_drgn_and_gdb_are_asked_for_is_no_lost_line():
    members = "".join(
        f"\t.{name} = (__u16){n},\n" for name, n in {"len": 15, "mac_len": 14}.items()
    )
    trace = read(
        f">>> skb\n*(struct sk_buff *)0xffff9c1f8e7a1e00 = {{\n{members}}}\n>>> skb_shinfo(skb)\n"
        "*(struct skb_shared_info *)0xffff9c1f8e7a1f00 = {\n"
        "\t.gso_size = (unsigned short)1448,\n}\n"
    )
    assert (len(trace), trace.damaged) == (1, 0)
    assert known(trace, 0) == {"len": 15, "gso_size": 1448}


@pytest.mark.parametrize("prefix", ["netconsole: ", "some.host console: ", "a-b: "])
def test_a_dump_behind_any_word_is_read(prefix):
    lines = (
        "skb len=1544 headroom=50 headlen=96 tailroom=0",
        "mac=(36,14) mac_len=14 net=(50,20) trans=70",
        "shinfo(txflags=0 nr_frags=2 gso(size=1448 type=1281 segs=2))",
    )
    trace = read("".join(f"{prefix}{line}\n" for line in lines))
    assert (len(trace), trace.damaged) == (1, 0)
    assert known(trace, 0)["gso_size"] == 1448


def test_a_map_without_a_key_may_have_fields():
    trace = read("@x skb=0xffff9ca661e90200 len=1544 gso_size=1448 inner_mac_header=68\n")
    assert known(trace, 0)["inner_mac_header"] == 68
