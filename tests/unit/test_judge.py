"""Every implementation of the rules, forced, against the obvious one in tests/reference."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import gso
from effort import some
from gso import GsoType as G
from gso import SkbState, Tunnel
from gso.headers.tunnels import BY_TUNNEL
from gso.rules import _judge
from reference.skb_rules import verdicts

PATHS = _judge.judge_paths()
# An IPv4 GUE packet as it should be, and one of a virtual machine, both to be segmented.
TUNNELLED = SkbState(
    mac_header=36, network_header=50, transport_header=70, inner_mac_header=82,
    inner_network_header=82, inner_transport_header=102, len=3000, data_len=1000, encapsulation=1,
    gso_size=1448, gso_type=G.TCPV4 | G.UDP_TUNNEL | G.IPXIP4, inner_protocol_type=1,
    inner_protocol=4, inner_ipproto=4, protocol=0x0800, ip_summed=3, csum_start=102, csum_offset=16,
    ihl=5, doff=8, payload=2900, tunnel=Tunnel.GUE, l4=6, headroom=36, mtu=1500, context=1,
)  # fmt: skip
DODGY = SkbState(
    mac_header=36, network_header=50, transport_header=70, len=3000, data_len=1000,
    encapsulation=0, gso_size=1448, gso_type=G.UDP_L4 | G.DODGY, protocol=0x0800, ip_summed=3,
    csum_start=70, csum_offset=6, ihl=5, payload=2900, tunnel=Tunnel.NONE, l4=17, headroom=36,
    mtu=1500, context=1,
)  # fmt: skip
# Values that a kernel may print, and those on either side of each limit.
OFFSETS = (0, 1, 49, 50, 51, 69, 70, 71, 77, 78, 81, 82, 83, 86, 96, 100, 101, 102, 103)
OFFSETS += (65533, 65534, 0xFFFF, -1, -2, -0x8000, 0x7FFF, 0x8000, 0xFFFFFFFE, 2**64 - 2 - 2**64)
VALUES = {
    **dict.fromkeys((*gso.rules.OFFSETS, "csum_start"), OFFSETS),
    "len": (0, 1, 11, 12, 13, 999, 1000, 2**31 - 1),
    "data_len": (0, 2999, 3000, 3001, 2**31 - 1),
    "encapsulation": (0, 1),
    "gso_size": (0, 1, 22, 23, 2899, 2900, 2901, 0xFFFE, 0xFFFF),
    "gso_type": (
        *(int(kind) for kind in (0, *G) if kind != G.TCP_FIXEDID_INNER),
        *(int(kind | G.DODGY) for kind in G),
        *(int(TUNNELLED.gso_type ^ kind) for kind in G),
        int(G.TCPV4 | G.GRE_CSUM | G.GRE),
        int(G.TCPV6 | G.UDP_TUNNEL_CSUM | G.TUNNEL_REMCSUM),
        int(G.UDP_L4 | G.FRAGLIST | G.DODGY),
        int(G.UDP_L4 | G.FRAGLIST),
        int(G.TCPV6 | G.UDP_TUNNEL),
        int(G.TCPV4 | G.GRE),
        int(G.TCPV4 | 1 << 20),
        int(G.TCPV4 | 1 << 29),
    ),
    "inner_protocol_type": (0, 1, 2),
    "inner_protocol": (0, 4, 0x0800, 0x6558, 0x86DD, 0x8847, 0x894F, 0xFFFF),
    "inner_ipproto": (0, 4, 6, 17, 41, 47, 50, 132, 99, 255),
    "protocol": (0, 0x0800, 0x86DD, 0x8100, 0x8847, 0x88A8),
    "ip_summed": (0, 1, 2, 3),
    "csum_offset": (0, 6, 16, 0xFFFF, 0x10000, 2**31 - 1),
    "ihl": (0, 4, 5, 15),
    "doff": (0, 4, 5, 15),
    "payload": (0, 1, 1447, 1448, 1449, 128 * 1448, 128 * 1448 + 1, 2**31 - 1),
    "tunnel": tuple(Tunnel),
    "l4": (0, 1, 6, 17),
    "headroom": (0, 36, 100, 101, 2**24, 2**24 + 1, 2**31 - 1),
    "mtu": (0, 1, 2955, 2956, 2957, 2985, 2986, 2**31 - 1),
    "context": (0, 1, 2, 3, 4),
}


@cache
def states() -> list[SkbState]:
    """Good packets with one field changed or unknown, then two, then many."""
    gre = {"transport_header": 78, "gso_type": G.TCPV4 | G.GRE, "tunnel": Tunnel.GRE}
    found = [
        TUNNELLED,
        DODGY,
        changed(TUNNELLED, gre),
        SkbState(),
        SkbState(tnl_hlen=-2),
        SkbState(tnl_hlen=65534),
    ]
    for base in (TUNNELLED, DODGY):
        for name, values in VALUES.items():
            found += [changed(base, {name: value}) for value in (None, *values)]
    draw = np.random.default_rng(6)
    names = list(VALUES)
    for count in (2, 3, 6, len(names)):
        for _ in range(1500):
            base = (TUNNELLED, DODGY)[draw.integers(2)]
            chosen = draw.choice(names, count, replace=False).tolist()
            picked = {name: (None, *VALUES[name]) for name in chosen}
            found.append(
                changed(
                    base, {n: values[draw.integers(len(values))] for n, values in picked.items()}
                )
            )
    return found


def changed(base: SkbState, values: dict[str, int | None]) -> SkbState:
    return replace(base, tnl_hlen=None, **values)


@cache
def expected() -> list[dict[str, bool]]:
    return [verdicts(state) for state in states()]


@pytest.fixture(params=PATHS)
def path(request):
    _judge.use_judge(request.param)
    assert _judge.judge_path() == request.param
    yield request.param
    _judge.use_judge(os.environ.get("GSO_SIMD"))


def masks(verdict: dict[str, bool]) -> tuple[int, int]:
    bits = {name: 1 << rule.bit for name, rule in gso.RULES.items()}
    violated = sum(bits[name] for name, wrong in verdict.items() if wrong)
    return violated, sum(bits[name] for name in verdict)


def test_the_sample_reaches_every_verdict_of_every_rule():
    for rule in gso.RULES:
        assert {verdict.get(rule) for verdict in expected()} == {None, False, True}, rule
    assert expected()[0].keys() >= {"tunnel-header-negative", "csum-start", "payload-not-larger"}
    assert not any(expected()[0].values())
    assert not any(expected()[1].values())


@pytest.mark.usefixtures("path")
def test_every_path_judges_as_the_reference_does():
    violated, judged = _judge.judge_batch(gso.skb_array(states()))
    for state, verdict, *found in zip(
        states(), expected(), violated.tolist(), judged.tolist(), strict=True
    ):
        assert tuple(found) == masks(verdict), (state.known, verdict)


@pytest.mark.usefixtures("path")
def test_every_path_ends_where_the_rows_do():
    rows = gso.skb_array(states()[:400])
    whole, judged = _judge.judge_batch(rows)
    for start, end in ((0, 0), (0, 1), (3, 130), (0, 127), (0, 128), (0, 129), (7, 264), (0, 400)):
        part = _judge.judge_batch(rows[start:end])
        assert part[0].tolist() == whole[start:end].tolist()
        assert part[1].tolist() == judged[start:end].tolist()


def one_by_one(rows: np.ndarray) -> list[tuple[int, int]]:
    """The verdicts of rows of which none is judged with another."""
    pairs = (_judge.judge_batch(rows[i : i + 1]) for i in range(len(rows)))
    return [(int(violated[0]), int(judged[0])) for violated, judged in pairs]


def together(rows: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(*(masks.tolist() for masks in _judge.judge_batch(rows)), strict=True))


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("at", [0, 1, 127, 128, 298, 299])
def test_a_row_that_differs_in_one_bit_is_judged_by_itself(at):
    like, rows = gso.skb_array([TUNNELLED]), gso.skb_array([TUNNELLED] * 300)
    for bit in range(rows.itemsize * 8):
        odd = like.copy()
        odd.view(np.uint8)[bit // 8] ^= 1 << bit % 8
        rows[at] = odd[0]
        expected = [*one_by_one(like)] * 300
        [expected[at]] = one_by_one(odd)
        assert together(rows) == expected, bit
        assert _judge.judge_batch(rows, with_judged=False)[0].tolist() == [v for v, _ in expected]
        rows[at] = like[0]


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("name", gso.SKB_DTYPE.names)
def test_rows_that_differ_in_one_field_only_are_not_alike(name):
    """So many pairs that some of them have the same hash, in a table of 512."""
    rows = np.repeat(gso.skb_array([DODGY]), 12000)
    varied = "len" if name != "len" else "mtu"
    rows[varied] = 2000 + np.arange(len(rows)) // 2
    rows[name][1::2] = 0 if name == "zero_known" else np.iinfo(rows.dtype[name]).min
    assert together(rows) == one_by_one(rows)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("kinds", [1, 2, 3, 40, 1000, 3000])
def test_rows_that_come_again_get_the_same_verdict(kinds):
    """Few kinds of rows or many, in turn, at random, and many after few after many."""
    some_rows = gso.skb_array(states()[:kinds])
    verdict = one_by_one(some_rows)
    draw = np.random.default_rng(kinds)
    runs = [
        np.arange(3000) % len(some_rows),
        draw.integers(len(some_rows), size=3000),
        np.repeat(draw.integers(len(some_rows), size=300), draw.integers(1, 30, size=300)),
        np.arange(3000) % len(some_rows),
    ]
    for order in (*runs, np.concatenate(runs)):
        assert together(some_rows[order]) == [verdict[i] for i in order]


def test_what_is_unknown_is_never_taken_for_a_value():
    """No rule is found violated that some value of an unknown field would show to be kept."""
    for state, verdict in some(list(zip(states()[::2], expected()[::2], strict=True))):
        wrong = [name for name, violated in verdict.items() if violated]
        unknown = [name for name in VALUES if getattr(state, name) is None] if wrong else []
        for name in unknown:
            for value in VALUES[name]:
                found = verdicts(changed(state, {name: value}))
                assert all(found.get(rule, True) for rule in wrong), (state.known, name, value)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("tunnel", [Tunnel.MPLS, Tunnel.NSH, Tunnel.GRE])
def test_only_udp_tunnels_need_a_handler_of_the_inner_protocol(tunnel):
    """skb_udp_tunnel_segment alone looks for one: MPLS, NSH and GRE find theirs elsewhere."""
    handlers = {"inner-ipproto-handler", "inner-protocol-handler"}
    for fields in ({"inner_protocol_type": 1, "inner_ipproto": 99},
                   {"inner_protocol_type": 0, "inner_protocol": 0xFFFF}):  # fmt: skip
        found = gso.validate(SkbState(tunnel=tunnel, **fields))
        assert found == []
        assert not handlers & set(found.judged)
        [finding] = gso.validate(SkbState(tunnel=Tunnel.GENEVE, **fields))
        assert finding.rule in handlers


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("tunnel", BY_TUNNEL)
def test_every_udp_tunnel_is_judged_by_its_header_length(tunnel):
    shortest = 8 + BY_TUNNEL[tunnel].length
    for size, wrong in ((shortest - 4, {"tunnel-header-short"}), (shortest, set())):
        state = replace(TUNNELLED, tunnel=tunnel, gso_type=None)
        state = changed(state, {"transport_header": state.inner_mac_header - size})
        found = gso.validate(state)
        assert {finding.rule for finding in found} == wrong
        assert "inner-ipproto-handler" in found.judged


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("number", [-5, -1, 12, 31, 32 + Tunnel.GUE, 64 + Tunnel.VXLAN, 0x7FFF])
def test_a_number_that_no_tunnel_has_says_nothing(number):
    rows = gso.skb_array([replace(TUNNELLED, tunnel=None, gso_type=None, inner_ipproto=99)] * 2)
    rows["tunnel"][1] = number
    violated, judged = _judge.judge_batch(rows)
    assert violated[0] == violated[1]
    assert judged[0] == judged[1]


def test_a_rule_that_judge_c_has_elsewhere_is_no_rule():
    names = list(gso.RULES)
    _judge.check_names(names)
    for wrong in (names[1:], [*names, "another"], [*names[:2], names[3], names[2], *names[4:]]):
        with pytest.raises(ImportError, match=r"gso\.RULES has"):
            _judge.check_names(wrong)


@pytest.mark.usefixtures("path")
def test_a_rule_that_lacks_fields_names_them():
    none = gso.validate(SkbState())
    assert none.judged == ()
    assert none.not_judged == {name: rule.fields for name, rule in gso.RULES.items()}
    found = gso.validate(replace(TUNNELLED, gso_size=None))
    assert found.not_judged["payload-not-larger"] == ("gso_size",)
    assert "payload-not-larger" not in found.judged


def test_the_environment_forces_a_path():
    code = "from gso.rules import _judge; print(_judge.judge_path())"
    for wanted in PATHS:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "GSO_SIMD": wanted},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == wanted
