"""Damaged logs: real lines, changed where the scanners are most likely to go wrong.

A case is a few lines of one log. Scanners read most lines by the template of the line before, so
cases repeat lines with one field changed; and they take lines apart at certain characters and
numbers, so lines are changed there.
"""

from __future__ import annotations

import lzma
import random
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
FORMATS = ("pwru", "pwru-json", "perf", "ftrace", "dmesg", "retis", "retis-json", "nettrace")
FORMATS += ("dropwatch", "tcpdrop", "perf-trace", "function-graph", "sk_buff", "bpftrace")
PARTS = re.compile(rb"[0-9A-Za-z_.]+|\s+|.", re.DOTALL)
NUMBER = re.compile(rb"0x[0-9a-f]+|[0-9][0-9a-f]*")

META = b"netns=4026531840 mark=0x0 ifindex=7 proto=8 mtu=1600 len=1558"
FLOW = b"172.70.4.34:33259->172.70.64.149:5501(udp)"
COLUMNS = b"4026531840 0           eth0:2      0x0800 1600  1512 "
OFFSETS = (
    b"inner_mac_header=0x44 inner_network_header=0x52 transport_header=0x46 len=1544 data_len=12"
)
PWRU = (
    b"0xffff947712f34400      9        [<empty>]               packet_rcv %b %b" % (META, FLOW),
    b"0xffff947712f34400      9        [<empty>] kfree_skb_reason(SKB_DROP_REASON_X) %b" % META,
    b"0xffff947712f34401     19       [my prog] skb_push 123456 %b %b" % (META, FLOW),
    b"0xffff888100  [curl]  ip_output 123456789",
    b"0xffff888100 3 [a] kfree_skb_reason (2) 0 netns=1 inner_mac_header=68 transport_header=70",
    b"13:05:01.250 0xffff888100 3 [a] cls_main(tc) netns=1",
    b"0xffff888100000000 3   ~r/bin/curl:1234 %b %b ip_rcv inner_mac_header=68" % (COLUMNS, FLOW),
    b"0xffff888100000000 3   <empty>:0        99887766     %b %b kfree_skb_reason(2)"
    % (COLUMNS, FLOW),
    b"2026-01-02T13:05:01.250 0xffff888100000000 3 a b:7 %bname %b ip6_output" % (COLUMNS, FLOW),
    b"0xffff888100000000 3 <empty>:0 %b   director    ip_rcv ip_list_rcv+0x123" % COLUMNS,
    b"0xffff888100000000 3 <empty>:0 [0x00000001,0x00000002] %b ip_rcv (2) list" % FLOW,
    b"0xffff888100000000 3 <empty>:0 ip_rcv",
    b"SKB                CPU PROCESS     NETNS   MARK/x IFACE PROTO MTU LEN NETNS NAME FUNC CALLER",
    b"TIME SKB CPU PROCESS TUPLE FUNC",
    b"I1128 05:17:01.123456     1 main.go:12] 0xffff888100000000 3 <empty>:0 ip_rcv len=7",
    b"I1128 05:17:01.123457     1 main.go:12] validate_xmit_skb",
    b"validate_xmit_skb",
    b"ip_vs_tunnel_xmit   \t[ip_vs]",
    b"(struct sk_buff){",
    b" .len = (unsigned int)1544,",
    b" .inner_mac_header = (__u16)68, .transport_header = (__u16)0x46,",
    b"}",
)
EVENTS = (
    b"swapper     0 [030] 79090.376153:    probe:ip_vs_in_hook: (ffffffffc0feebe0) "
    b'dev="vlan100" skb=0xffff9ca661e90200 %b' % OFFSETS,
    b"a b 12/13 [030] 79090.376153: skb:kfree_skb: skbaddr=0xffff9ca661e90200 protocol=2048 "
    b"location=f+0x1 reason: NOT_SPECIFIED",
    b"\tffffffff85070e60 __dev_queue_xmit+0x1 ([kernel.kallsyms])",
    b" a-12 [030] d..1. 1.000001: r: (f+0x1 <- g) arg1=0xffffffea skb=0xffff9ca661e90200 %b"
    % OFFSETS,
    b" a-12 [030] d..1. 1.000002: <stack trace>",
    b" => ip_output",
    b"CPU:2 [LOST 12 EVENTS]",
    b"[  813.000001]   <idle>-0         0d.h1. 19012345us : p: (g+0x0/0x5) skb=0xffff9ca6 %b"
    % OFFSETS,
    b"node1 pwru:    a-12    [030] d..1. 1.000001: tun: flags=1 gso_type=4 hdr_len=74 gso_size=14",
)
DMESG = (
    b"[  812.123460] skb len=1544 headroom=68 headlen=1532 tailroom=0",
    b"               mac=(68,-18) mac_len=14 net=(50,20) trans=70",
    b"               shinfo(txflags=0 nr_frags=1 gso(size=1448 type=1281 segs=2))",
    b"               encapsulation=1 inner(proto=0x0004, mac=68, net=82, trans=102)",
    b"[  812.123470] dev name=vlan100 feat=0x00000516401d7c69",
    b"[  812.123490] Call Trace:",
    b"[  812.123492]  ? show_regs+0x6a/0x80",
    b"[  812.123494]  ip_vs_tunnel_xmit+0x5a2/0x960 [ip_vs]",
    b"[  812.123495]  </TASK>",
    b"[  813.000001] eth0: hw csum failure",
    b"[  813.000002] tun tap7: unexpected GSO type: 0x4ec1c942, gso_size 20948, hdr_len 3072",
    b"[  813.000003] skbuff: skb_under_panic: text:ffffffffc05d2a13 len:98 put:14 head:ffff8b0f00"
    b" data:ffff8b0ef6 tail:0x58 end:0x180 dev:gre0",
    b"[  813.000004] ------------[ cut here ]------------",
    b"[  813.000005] kernel BUG at net/core/skbuff.c:4219!",
    b"[  813.000006] Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
    b"[  813.000007] RIP: 0010:skb_segment+0xbc8/0xe00",
    b"[  813.000008] WARNING: CPU: 0 PID: 1 at net/core/skbuff.c:4811 skb_segment+0x1/0x2",
    b"[  813.000009] BUG: KASAN: slab-out-of-bounds in skb_segment+0x1a3/0x1f50",
    b"[  813.000010] UDP: bad checksum. From 192.0.2.9:28810 to 198.51.100.2:12287 ulen 73",
    b"[  813.000011] protocol 0800 is buggy, dev vxlan0",
    b"               csum(0x100066 start=102 offset=16 ip_summed=3 complete_sw=0 valid=0 level=0)",
    b"               hash(0x0 sw=0 l4=0) proto=0x0800 pkttype=0 iif=4",
    b"[  813.000012] skb fraglist:",
    b"[  813.000013] WARNING: CPU: 3 PID: 0 at net/core/dev.c:2437 skb_warn_bad_offload+0xcd/0xda",
    b"[  813.000014] team0: caps=(0x80, 0x0) len=1646 data_len=1590 gso_size=1368 gso_type=1 "
    b"ip_summed=1",
    b"  <4>RSP: 0018:ffffb3f4c0003b00 EFLAGS: 00010282",
)
JSON = (
    b'{"skb":"0xffff888100000000","cpu":3,"process":"~r/bin/curl:1234","func":"ip_rcv","time":123,'
    b'"netns":4026531840,"mark":7,"iface":"eth0:2","proto":2048,"mtu":1600,"len":1558,'
    b'"cb":[0,0,0,0,0],"tuple":{"saddr":"10.0.0.1","daddr":"10.0.0.2","sport":7,"dport":9,"proto":6}}',
    b'{"skb":"0xffff888100000000","func":"kfree_skb_reason(SKB_DROP_REASON_X)",'
    b'"caller_func":"f+0x1","time":"2026-01-02T13:05:01.250","stack":"\\nf\\ng+0x1\\t[mod]",'
    b'"skb_metadata":"\\n(struct sk_buff){\\n .inner_mac_header = (__u16)68,\\n}"}',
    b'{ "skb" : "0xffff888100000000", "func" : "\\u0066\\ud83d\\ude00", "unknown" : [{"a":null}] }',
)
FEW_FIELDS = {
    "retis": (
        b"12313349514683 (1) [isc-net] 26822/26823 [k] ip_output #b32e (skb ffff8ca396cf4600)",
        b"  \xe2\x86\xb3 123 (1) [p] 2 [tp] skb:kfree_skb #b (skb ffff8c) n 1 drop (reason a/B)",
        b"    skb_udp_tunnel_segment+0x1",
        b"  192.0.2.1.43366 > 198.51.100.2.5501 tos 0x0 ttl 64 len 1544 proto UDP (17) len 1524",
        b"  2001:db8::1.53 > 2001:db8::2.46050 ttl 64 label 0x10 len 59 proto TCP (6) flags [S]",
        b"  ns 0x1/4026531840 if 4 (wlp82s0) rxif 3",
        b"  skb [csum partial (start 102 off 16) hash 0x51 len 1544 data_len 1460 priority 0] "
        b"gso [type 0x501 flags 0x1 segs 2 size 1448]",
    ),
    "retis-json": (
        b'{"common":{"timestamp":2386,"smp_id":3,"task":{"pid":11,"comm":"ping"}},"kernel":'
        b'{"symbol":"skb:kfree_skb","probe_type":"raw_tracepoint","stack_trace":["a+0x1","b"]},'
        b'"skb-tracking":{"skb":18446616546229617920},"skb-drop":{"drop_reason":"X"},"skb":{"meta":'
        b'{"len":1544,"ip_summed":3,"csum":1048678},"gso":{"size":1448,"type":1}},"dev":'
        b'{"name":"veth","ifindex":11}}',
        b'{"common":{"smp_id":0},"kernel":{"symbol":"tcp_v4_rcv"},"skb":{"daddr":"2001:db8::1",'
        b'"dport":39308,"etype":2048,"protocol":6,"saddr":"198.51.100.24","sport":443}}',
        b'{"common":{"timestamp":1},"startup":{"retis_version":"v1.6.0"}}',
    ),
    "nettrace": (
        b"***************** ffff888f97491800,ffff888f97491900 ***************",
        b"[3314.867784] [ip_output    ] TCP: 192.0.2.1:40 -> 198.51.100.2:22 seq:1, flags:A",
        b"[3314.8677] [a ] UDP: 192.0.2.1:4 -> 1.2.3.4:2 *reason: X, validate_xmit_skb+0x1a2*",
        b"[2553.2034] 192.0.2.9:5 -> 192.0.2.1:53 TCP seq:1, flags:A reason:TCP_CSUM f+0x9",
        b"[2553.2] [e90][ip_rcv   ][cpu:3  ][eth0 ][a-12][ns:4026] TCP: 1.2.3.4:1 -> 2.3.4.5:2",
        b"    -> [ffffffff81a3b0c0]kfree_skb_reason+0x1",
    ),
    "dropwatch": (
        b"3 drops at validate_xmit_skb+1a2 (0xffffffffa2b8c1d2) [software]",
        b"12 drops at location 0xffffffffa2b8c999 [software]",
        b"drop at: validate_xmit_skb+0x158/0x340 (0xffffffff81a3b0c0)",
        b"input port ifindex: 4",
        b"input port name: vxlan100",
        b"protocol: 0x800",
        b"original length: 1544",
        b"drop reason: NOT_SPECIFIED",
    ),
    "tcpdrop": (
        b"14:46:49 0   4  192.0.2.10:80   > 198.51.100.55:33280  SYN_SENT (SYN|ACK)  X_DROP (12)",
        b"14:46:50 4711 6  2001:db8::1:80 > 2001:db8::2:33280    ESTABLISHED (ACK)",
        b"00:39:21 0  swapper/2   192.0.2.31:3306     198.51.100.82:50552  ESTABLISHE",
        b"\tb'sk_skb_reason_drop+0x1e4'",
        b"\ttcp_v4_do_rcv+0x135",
    ),
    "perf-trace": (
        b"   0.000 swapper/3/0 skb:kfree_skb(skbaddr: 0xffff9ca661e90200, location: 0xffffffff81, "
        b"protocol: 2048, reason: SKB_DROP_REASON_NO_SOCKET)",
        b'   1.2 ( 0.010 ms): a/5 net:net_dev_queue(name: "eth0", len: 1544, gso_size: 1448)',
        b"   2.500 ping/2465 skb:consume_skb:skbaddr=0xffff9ca661e90300",
        b"                      udp_queue_rcv_one_skb ([kernel.kallsyms])",
    ),
    "function-graph": (
        b" 12)               |  vxlan_xmit_one [vxlan]() {",
        b" 12) + 21.100 us   |    skb_mac_gso_segment(); /* = 0xffffffea */",
        b" 12)   3.821 us    |  } /* __skb_gso_segment ret=-22 */",
        b"  123.456789 |   1)   0.505 us    |    vxlan_find_vni [vxlan]();",
    ),
    "sk_buff": (
        b"crash> struct sk_buff ffff3000651a2e00",
        b"struct sk_buff {",
        b"*(struct sk_buff *)0xffff8ca396cf4600 = {",
        b"    rbnode = {",
        b"      len = 7",
        b"  },",
        b'  cb = "\\000, len = 9",',
        b"  inner_mac_header = 68, transport_header = 70, ip_summed = 3 '\\003',",
        b"\t.len = (unsigned int)1544,",
        b"}",
        b"struct skb_shared_info {",
        b"  gso_size = 1448,",
        b"(gdb) p *skb",
        b"(gdb) p *(struct skb_shared_info *)(skb->head + skb->end)",
        b"$1 = {{{next = 0x0}}, len = 1544, mac_len = 14, headers = {len = 7}, truesize = 4352}",
    ),
    "bpftrace": (
        b"kprobe:skb_segment skb=0xffff9ca661e90200 len=1544 gso_size=1448 inner_mac_header=68",
        b"        inet_gso_segment+347",
        b"@[",
        b"    kfree_skb_reason+1",
        b"]: 12",
        b"@drops[SKB_DROP_REASON_NO_SOCKET, udp_rcv]: 5",
        b"@[SKB_CONSUMED]: 34",
        b"Lost 7 events",
    ),
}
BORDERS = tuple(
    form % number
    for number in (
        *(0, 1, 2, 7, 8, 9, 10, 15, 16, 19, 20, 40, 99, 127, 128, 255, 256, 1023, 1024, 4095, 4096),
        *(32767, 32768, 65533, 65534, 65535, 65536, 65537, 1 << 20, (1 << 20) + 1),
        *((1 << n) + d for n in (31, 32, 63, 64, 66) for d in (-2, -1, 0, 1)),
        10**18, 10**19 - 1, 10**19, 10**20,
    )
    for form in (b"%d", b"-%d", b"0x%x", b"%x", b"0%d", b"+%d", b"(__u16)%d", b"%d.5")
)  # fmt: skip
BITS = (
    *(b"0x", b"[", b"]", b"(", b")", b"=", b'"', b":", b": ", b" ", b"\t", b"->", b"{", b"}", b","),
    *(
        b"\0",
        b"\r",
        b"\x0b",
        b"\xff",
        b"\xc3\xa9",
        b"\\",
        b"\\u00e9",
        b"-",
        b"+",
        b".",
        b"<-",
        b"|",
    ),
    *(
        b"(tc)",
        b"(X)",
        b"[mod]",
        b"<stack trace>",
        b"=> ",
        b"[0x1,0x2]",
        b"? ",
        b"+0x1/0x2",
        b" = ",
    ),
    *(b"skb=", b"len=", b"proto=", b"time=", b"dev=", b"reason: A", b"data={0x45,0x1}", b"9" * 30),
    *(b"null", b"true", b"1e5", b"[]", b"{}", b'"a":1', b"a" * 30, b"T", b"~", b"#", b"%", b";"),
)
LONG = (300, 2040, 2048, 2060, 8190, 8200)
LONGEST = (1 << 20) - 200


def _lines(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return (lzma.decompress(data) if path.suffix == ".xz" else data).splitlines()


def _recorded(word: str) -> list[list[bytes]]:
    paths = [*(TESTS / "vectors/traces").glob(f"{word}*.txt*")]
    paths += (TESTS / "kernel/data").glob("*.trace") if word == "ftrace" else []
    return [_lines(path) for path in sorted(paths)]


class Mutator:
    """Makes cases, the same for the same seed."""

    def __init__(self) -> None:
        events = [list(EVENTS), *_recorded("bpftrace"), *_recorded("ftrace"), *_recorded("perf")]
        self._logs: dict[str, list[list[bytes]]] = {
            "pwru": [list(PWRU)],
            "pwru-json": [list(JSON)],
            "perf": events,
            "ftrace": events,
            "dmesg": [list(DMESG)],
            **{name: [list(lines)] for name, lines in FEW_FIELDS.items()},
        }
        self._all = [*PWRU, *EVENTS, *DMESG, *JSON, *chain(*FEW_FIELDS.values())]
        self._words = sorted({word for line in self._all for word in line.split()})
        self._changes: tuple[Callable[[random.Random, bytes], bytes], ...] = (
            *(self._number, self._number, self._number, self._bit, self._bit, self._word),
            *(self._part, self._part, self._cut, self._splice, self._byte, self._longer),
        )

    def case(self, dice: random.Random, kind: str) -> list[bytes]:
        """Return some lines, without the newlines between them."""
        log = self._pick(dice, self._logs[kind])
        at = int(dice.random() * len(log))
        lines = log[at : at + 1 + int(dice.random() * 4)]
        if dice.random() < 0.3:
            lines = [self._pick(dice, log) for _ in range(1 + int(dice.random() * 4))]
        # Each line comes again with a field or two changed, then as it was at first.
        out = []
        for line in lines:
            out.append(line)
            chance = dice.random()
            if chance < 0.7:
                changed = line
                for _ in range(1 + int(dice.random() * 3)):
                    changed = self._change(dice, changed)
                    out.append(changed)
                if chance < 0.4:
                    out.append(line)
        if dice.random() < 0.1:
            foreign = self._pick(dice, self._all)
            out.insert(int(dice.random() * len(out)), dice.choice((b"", b" \t", foreign, b"\r")))
        return [line.replace(b"\n", b" ") for line in out]

    @staticmethod
    def _pick(dice: random.Random, choices):
        return choices[int(dice.random() * len(choices))]

    def _change(self, dice: random.Random, line: bytes) -> bytes:
        return self._pick(dice, self._changes)(dice, line)

    def _number(self, dice: random.Random, line: bytes) -> bytes:
        """Replace a number of the line by one at a border, or one of its digits."""
        spans = [match.span() for match in NUMBER.finditer(line)]
        if not spans:
            return line
        start, end = self._pick(dice, spans)
        if dice.random() < 0.4:
            digit = b"%x" % int(dice.random() * 16)
            at = start + int(dice.random() * (end - start + 1))
            return line[:at] + digit + line[at + (dice.random() < 0.7) :]
        return line[:start] + self._pick(dice, BORDERS) + line[end:]

    def _bit(self, dice: random.Random, line: bytes) -> bytes:
        at = int(dice.random() * (len(line) + 1))
        return line[:at] + self._pick(dice, BITS) + line[at + int(dice.random() * 4) :]

    def _word(self, dice: random.Random, line: bytes) -> bytes:
        """Put a word in place of another, or between two."""
        words = line.split(b" ")
        at = int(dice.random() * len(words))
        words[at : at + int(dice.random() * 3)] = [self._pick(dice, self._words)]
        return b" ".join(words)

    def _part(self, dice: random.Random, line: bytes) -> bytes:
        """Leave out a part of the line, double it, or swap it with another."""
        parts = PARTS.findall(line)
        if not parts:
            return line
        one, two = (int(dice.random() * len(parts)) for _ in range(2))
        way = int(dice.random() * 4)
        if way == 0:
            del parts[one]
        elif way == 1:
            parts.insert(one, parts[two])
        elif way == 2:
            parts[one], parts[two] = parts[two], parts[one]
        else:
            parts[one] = parts[two]
        return b"".join(parts)

    def _cut(self, dice: random.Random, line: bytes) -> bytes:
        at = int(dice.random() * (len(line) + 1))
        return line[:at] if dice.random() < 0.7 else line[at:]

    def _splice(self, dice: random.Random, line: bytes) -> bytes:
        """Join the beginning of this line and the end of another, of any format."""
        other = self._pick(dice, self._all)
        at = int(dice.random() * (len(other) + 1))
        return line[: int(dice.random() * (len(line) + 1))] + other[at:]

    def _byte(self, dice: random.Random, line: bytes) -> bytes:
        at = int(dice.random() * (len(line) + 1))
        return line[:at] + bytes([int(dice.random() * 256)]) + line[at + 1 :]

    def _longer(self, dice: random.Random, line: bytes) -> bytes:
        """Insert text about as long as a template's room, seldom as long as the longest line."""
        chance = dice.random()
        if chance > 0.1:
            return line + b" " * int(dice.random() * 4)
        size = self._pick(dice, LONG) if chance > 0.0001 else LONGEST
        at = int(dice.random() * (len(line) + 1))
        return line[:at] + b"a" * (size + int(dice.random() * 300)) + line[at:]
