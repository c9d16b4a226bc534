"""Sentences of the kernel among other messages, against a reader of regular expressions."""

import io

from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples
from reference.kernel_log import events

NUMBER = st.integers(0, 1 << 20)
DEVICE = st.sampled_from(["eth0", "vxlan.100", "br-lan", "tap7", "veth1234@if3"])
NOISE = st.sampled_from(
    [
        "skb linear:   00000000: 45 00 06 08 00 00 40 00 3f 11 bd de cb 00 71 02",
        "mac=(68,-18) mac_len=14 net=(50,20) trans=70",
        "Modules linked in: skb_over 8021q",
        "Call Trace:",
        " ip_output+0x5a/0xc0 [module]",
        "audit: type=1334 audit(1723679691.364:294): prog-id=78 op=LOAD",
        "IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready",
        "",
    ]
)


@st.composite
def sentence(draw):
    device, n, m = draw(DEVICE), draw(NUMBER), draw(NUMBER)
    return draw(
        st.sampled_from(
            [
                f"{device}: hw csum failure",
                f"{device}: bad gso: type: {n}, size: {m}",
                f"tun {device}: unexpected GSO type: 0x{n:x}, gso_size {m}, hdr_len {n}",
                f"tun: unexpected GSO type: 0x{n:x}, gso_size {m}, hdr_len {n}",
                f"UDP: bad checksum. From 192.0.2.1:{n % 65536} to 192.0.2.2:9 ulen {m}",
                f"protocol {n % 65536:04x} is buggy, dev {device}",
                f"skbuff: skb_under_panic: text:{n:x} len:{n} put:{m} head:{n:x} data:{m:x} "
                f"tail:0x{n:x} end:0x{m:x} dev:{device}",
                f"skbuff: skb_over_panic: text:{n:x} len:{n} put:{m} head:{n:x} data:{m:x} "
                f"tail:0x{n:x} end:0x{m:x} dev:<NULL>",
            ]
        )
    )


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e6), st.one_of(NOISE, sentence())), max_size=20))
def test_sentences_are_read_as_by_the_reference(messages):
    lines = [f"[{time:12.6f}] {text}" if text else "" for time, text in messages]
    trace = gso.read_trace(io.BytesIO("\n".join([*lines, ""]).encode() or b" "), "dmesg")
    found = list(
        zip(trace.line.tolist(), trace.function.tolist(), trace.device.tolist(), strict=True)
    )
    assert found == events(lines)
