"""Structs as crash, drgn and gdb print them: what is the sk_buff's, and what another struct's."""

from __future__ import annotations

import io

import pytest

import gso

FIELDS = {
    "len": 2992,
    "data_len": 2896,
    "ip_summed": 3,
    "encapsulation": 1,
    "csum_start": 102,
    "csum_offset": 16,
    "inner_transport_header": 102,
    "inner_network_header": 82,
    "inner_mac_header": 82,
    "transport_header": 70,
    "network_header": 50,
    "mac_header": 36,
}
OTHER = dict.fromkeys(FIELDS, 7)
MEMBERS = ", ".join(
    f"{name} = {value}" + (f" '\\{value:03o}'" if value < 4 else "")
    for name, value in FIELDS.items()
)
OTHERS = ", ".join(f"{name} = {value}" for name, value in OTHER.items())
# As `set print pretty off` is gdb's default: the struct in one line.
ONE_LINE = (
    "{{{next = 0x0, prev = 0x0, {dev = 0xffff888004b2c000, dev_scratch = 1}}, "
    "rbnode = {__rb_parent_color = 0}}, sk = 0x0, cb = '\\000' <repeats 47 times>, "
    f"{MEMBERS}, mac_len = 14, headers = {{{OTHERS}}}, "
    'head = 0xffff888005c00000 "", data = 0xffff888005c00032 "E, len = 9", truesize = 4352, '
    "users = {refs = {counter = 1}}}"
)
PRETTY = (
    "{\n  {\n    {\n      next = 0x0\n    },\n    rbnode = {\n      len = 7\n    }\n"
    "  },\n  " + MEMBERS.replace(", ", ",\n  ") + ",\n  headers = {\n    len = 7\n  }\n}"
)
SHARED = "{flags = 0 '\\000', gso_size = 1448, gso_type = 1281, frags = {{len = 7}, {len = 8}}}"
DRGN = (
    "*(struct sk_buff *)0xffff9c1f8e7a1e00 = {\n"
    + "".join(f"\t.{name} = (__u16){value},\n" for name, value in FIELDS.items())
    + "\t.destructor = (void (*)(struct sk_buff *))0x0,\n"
    + "\t.headers = (struct {...}){\n"
    + "".join(f"\t\t.{name} = (__u16)7,\n" for name in FIELDS)
    + "\t},\n}"
)


def read(text: str) -> gso.Trace:
    return gso.read_trace(io.BytesIO(f"{text}\n".encode()))


@pytest.mark.parametrize(
    "text",
    [
        f"$1 = {ONE_LINE}",
        f"(gdb) p *skb\n$1 = {ONE_LINE}",
        f"(gdb) print *(struct sk_buff *)0xffff888005c00000\n$12 = {ONE_LINE}",
        f"(gdb) p *skb\n$1 = {PRETTY}",
        DRGN,
    ],
)
def test_the_fields_are_those_of_the_sk_buff(text):
    trace = read(text)
    assert len(trace) == 1
    assert trace.damaged == 0
    assert {name: trace.skb_state(0).known.get(name) for name in FIELDS} == FIELDS


@pytest.mark.parametrize("struct", [ONE_LINE, PRETTY])
def test_two_prints_are_two_events(struct):
    text = f"(gdb) p *skb\n$1 = {struct}\n(gdb) p *skb\n$2 = {struct}"
    assert len(read(text)) == 2


def test_the_shared_info_is_of_the_same_packet():
    command = "(gdb) p *(struct skb_shared_info *)(skb->head + skb->end)"
    state = read(f"(gdb) p *skb\n$1 = {ONE_LINE}\n{command}\n$2 = {SHARED}").skb_state(0)
    assert (state.gso_size, state.gso_type, state.len) == (1448, 1281, 2992)


@pytest.mark.parametrize("command", ["p *skb->dev", "p *(struct iphdr *)(skb->head + 50)"])
def test_other_structs_are_unread_and_change_nothing(command):
    other = f"(gdb) {command}\n$2 = {{protocol = 17 '\\021', mtu = 100, {OTHERS}}}"
    trace = read(f"(gdb) p *skb\n$1 = {ONE_LINE}\n{other}")
    assert len(trace) == 1
    assert trace.damaged == 1
    assert {name: trace.skb_state(0).known.get(name) for name in FIELDS} == FIELDS
    assert trace.skb_state(0).protocol is None


@pytest.mark.parametrize(
    ("printed", "known"),
    [
        ("frag_list = 0xffff9c1f8e7a2000,", 1),
        ("frag_list = 0x0,", 0),
        (".frag_list = (struct sk_buff *)0xffff9c1f8e7a2000,", 1),
        (".frag_list = (struct sk_buff *)0x0,", 0),
        ("frag_list = 0x0 <fixed_percpu_data>,", 0),
    ],
)
def test_a_frag_list_is_there_or_not(printed, known):
    shared = f"struct skb_shared_info {{\n  gso_size = 1400,\n  gso_type = 393216,\n  {printed}\n}}"
    trace = read(f"{DRGN}\n{shared}")
    assert trace.skb_state(0).frag_list == known
    broken = {rule for case in gso.diagnose(trace).cases for rule in case.rules}
    assert ("frag-list" in broken) == (not known)
