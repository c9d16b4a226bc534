"""One packet or many, compiled or obvious: the same verdicts."""

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples
from gso import GsoType, SkbState, Tunnel
from gso.versions import KERNELS
from reference.skb_rules import verdicts

OFFSETS = st.sampled_from([0, 50, 64, 68, 70, 82, 86, 96, 102, 0xFFFF, -2, 0xFFFFFFFE, 65534])
GSO_TYPES = (
    st.lists(st.sampled_from(list(GsoType)), max_size=4)
    .map(lambda bits: int(sum(set(bits))))
    .filter(lambda bits: bits != 1 << 31)
)
VALUES = {
    **dict.fromkeys(
        (
            *("mac_header", "network_header", "transport_header", "csum_start"),
            *("inner_mac_header", "inner_network_header", "inner_transport_header"),
        ),
        OFFSETS,
    ),
    "len": st.sampled_from([0, 5, 1500, 65535, 300000]),
    "data_len": st.sampled_from([0, 12, 1600]),
    "encapsulation": st.sampled_from([0, 1]),
    "gso_size": st.sampled_from([0, 1, 1448, 0xFFFF]),
    "gso_type": GSO_TYPES,
    "inner_protocol_type": st.sampled_from([0, 1, 1, 2]),
    "inner_protocol": st.sampled_from([0, 0x0800, 0x6558, 0x86DD]),
    "inner_ipproto": st.sampled_from([0, 4, 41, 47, 99]),
    "protocol": st.sampled_from([0, 0x0800, 0x86DD, 0x8100, 0x8847]),
    "ip_summed": st.sampled_from([0, 1, 3, 3]),
    "frag_list": st.sampled_from([0, 1]),
    "csum_offset": st.sampled_from([0, 6, 16]),
    "ihl": st.integers(0, 15),
    "doff": st.integers(0, 15),
    "payload": st.sampled_from([0, 1, 1448, 1460, 65535]),
    "tunnel": st.sampled_from(list(Tunnel)),
    "l4": st.sampled_from([0, 6, 17, 1]),
    "headroom": st.sampled_from([0, 50, 96, 4096]),
    "mtu": st.sampled_from([0, 1280, 1500, 65536]),
    "context": st.sampled_from([0, 1, 2, 3, 4, 7]),
    "gre_flags": st.sampled_from([0, 0x1000, 0x2000, 0x3000]),
    "tnl_hlen": st.sampled_from([-2, 65534, 0xFFFFFFFE, 6, 8, 12, 16]),
}
states = st.fixed_dictionaries({}, optional=VALUES).map(lambda values: SkbState(**values))


# Numbers of which one lets any rule apply that lacks the field.
ENOUGH = {
    **dict.fromkeys(VALUES, (1,)),
    **dict.fromkeys(("mac_header", "network_header", "transport_header"), (1, 50)),
    **dict.fromkeys(
        ("inner_mac_header", "inner_network_header", "inner_transport_header"), (60000, 65534)
    ),
    "gso_size": (1448, 0, 0xFFFF),
    "gso_type": (
        *(
            int(GsoType.DODGY | kind | tunnel)
            for kind in (GsoType.UDP_L4, GsoType.TCPV4)
            for tunnel in (0, GsoType.UDP_TUNNEL)
        ),
        int(GsoType.TCPV4 | GsoType.GRE | GsoType.FRAGLIST),
    ),
    "inner_protocol_type": (0, 1),
    "encapsulation": (0, 1),
    "tunnel": (Tunnel.NONE, Tunnel.GUE, Tunnel.IPIP),
    "inner_protocol": (0x0800,),
    "inner_ipproto": (4,),
    "context": (3,),
    "ip_summed": (3,),
    "protocol": (0x0800, 0x8847),
    "l4": (6, 17),
}


def names(mask):
    return [rule.rule for rule in gso.explain(mask)]


@settings(max_examples=examples(1000), deadline=None)
@given(states, st.sampled_from(list(KERNELS)))
def test_the_compiled_rules_agree_with_the_obvious_ones(skb, kernel):
    expected = verdicts(skb, kernel)
    found = gso.validate(skb, kernel=kernel)
    assert [one.rule for one in found] == [n for n in gso.RULES if expected.get(n)]
    assert set(found.judged) == set(expected)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(states, max_size=20), st.sampled_from(list(KERNELS)))
def test_many_are_judged_as_one_is(skbs, kernel):
    masks = gso.validate_batch(gso.skb_array(skbs), kernel=kernel)
    single = [[f.rule for f in gso.validate(s, kernel=kernel)] for s in skbs]
    assert [names(mask) for mask in masks] == single


def numbers(name):
    """What a damaged log may put into a field of a row."""
    kind = np.iinfo(gso.SKB_DTYPE[name])
    edges = [0, -1, 12, 32, 0x7FFF, 0x8000, 0xFFFE, 0x10000, kind.min, kind.min + 1, kind.max]
    odd = st.sampled_from([edge for edge in edges if kind.min <= edge <= kind.max])
    wrapped = VALUES.get(name, odd).map(
        lambda value: int(np.int64(value).astype(f"i{kind.bits // 8}"))
    )
    return st.one_of(wrapped, wrapped, odd, st.integers(int(kind.min), int(kind.max)))


raw_rows = st.fixed_dictionaries(
    {"zero_known": st.sampled_from([0, 1])},
    optional={name: numbers(name) for name in gso.rules.FIELDS},
)


@settings(max_examples=examples(1000), deadline=None)
@given(raw_rows)
def test_every_door_gives_the_answer_of_the_reference(values):
    rows = gso.skb_array(1)
    for name, value in values.items():
        rows[name] = value
    state = SkbState.from_row(rows[0])
    expected = verdicts(state)
    violated = [name for name in gso.RULES if expected.get(name)]
    answers = [gso.validate(state), gso.validate(rows[0]), *gso.validate(rows)]
    assert names(gso.validate_batch(rows)[0]) == violated
    for found in answers:
        assert [one.rule for one in found] == violated
        assert set(found.judged) == set(expected)
        assert found == answers[0]
        assert found.not_judged == answers[0].not_judged


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(raw_rows, min_size=1, max_size=6), st.data())
def test_rows_among_others_that_are_alike_are_judged_as_alone(kinds, data):
    """Also those that differ from others in one byte only."""
    rows = gso.skb_array(len(kinds))
    for row, values in zip(rows, kinds, strict=True):
        for name, value in values.items():
            row[name] = value
    order = data.draw(st.lists(st.integers(0, len(kinds) - 1), min_size=1, max_size=40))
    rows = rows[np.tile(order, data.draw(st.sampled_from([1, 1, 10, 60])))]
    raw = rows.view(np.uint8)
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=8)):
        raw[at] ^= data.draw(st.integers(1, 255))
    alone = {row.tobytes(): int(gso.validate_batch(rows[i : i + 1])[0])
             for i, row in enumerate(rows)}  # fmt: skip
    assert gso.validate_batch(rows).tolist() == [alone[row.tobytes()] for row in rows]


@settings(max_examples=examples(500), deadline=None)
@given(states, states)
def test_a_rule_is_judged_or_lacks_fields_or_does_not_apply(skb, other):
    found = gso.validate(skb)
    assert not set(found.judged) & set(found.not_judged)
    for fields in found.not_judged.values():
        assert fields
        assert not set(fields) & set(skb.known)
    neither = set(gso.RULES) - set(found.judged) - set(found.not_judged)
    assert not neither & set(verdicts(SkbState(**{**other.known, **skb.known})))


@settings(max_examples=examples(300), deadline=None)
@given(states)
def test_the_fields_that_a_rule_lacks_are_enough(skb):
    for name, fields in gso.validate(skb).not_judged.items():
        likely = [
            SkbState(**{**skb.known, **dict(zip(fields, values, strict=True))})
            for values in product(*(ENOUGH[field] for field in fields))
        ]
        assert any(name in verdicts(state) for state in likely), (name, fields)


@settings(max_examples=examples(300), deadline=None)
@given(states)
def test_a_row_keeps_what_is_known(skb):
    assert SkbState.from_row(gso.skb_array([skb])[0]) == skb


@settings(max_examples=examples(500), deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["ethernet", "raw"]))
def test_any_bytes_can_be_judged(data, link_type):
    for finding in gso.validate(data, link_type=link_type, mtu=100):
        assert finding.message
