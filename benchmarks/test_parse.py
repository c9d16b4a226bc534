"""Finding the headers of a packet, and judging the header offsets of sk_buffs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dpkt
import numpy as np
import pytest
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN  # noqa: F401  (so that UDP knows its port)

import cases
import gso
from contest import Contest, Contestant, python
from gso import Frames, SkbState
from peers import native

PARSING, VALIDATION = "parsing", "validation"
MANY = 4096


@pytest.fixture(params=cases.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=cases.VERSIONS, ids="IPv{}".format)
def case(request: pytest.FixtureRequest, kind: str) -> cases.Case:
    return cases.case(kind, request.param, cases.INCIDENT)


def one_call(case: cases.Case) -> Contestant:
    layout = gso.parse(case.frame)
    transport = layout.inner_transport_header or layout.transport_header
    assert (transport, layout.payload) == (case.tcp, case.headers)
    return python("parse", lambda: gso.parse(case.frame))


def test_scapy(contest: Contest, case: cases.Case) -> None:
    if case.kind == "GUE":
        pytest.skip("scapy does not know GUE")
    assert bytes(Ether(case.frame)[TCP].payload) == case.payload
    theirs = python("scapy", lambda: Ether(case.frame), unit="packet")
    contest(PARSING, f"{case.kind} IPv{case.version}", one_call(case), theirs)


def test_dpkt(contest: Contest, case: cases.Case) -> None:
    if case.kind in ("GUE", "VXLAN") or (case.kind, case.version) == ("IPIP", 6):
        pytest.skip(f"dpkt does not know {case.kind} over IPv{case.version}")

    def innermost() -> Any:
        layer = dpkt.ethernet.Ethernet(case.frame)
        while not isinstance(layer, bytes) and not isinstance(layer, dpkt.tcp.TCP):
            layer = layer.data
        return layer

    assert innermost().data == case.payload
    contest(
        PARSING,
        f"{case.kind} IPv{case.version}",
        one_call(case),
        python("dpkt", innermost, unit="packet"),
    )


def test_dpdk(contest: Contest, case: cases.Case, tmp_path: Path) -> None:
    frame = tmp_path / "frame"
    frame.write_bytes(case.frame)
    program = native.dpdk_parts(frame=frame)
    _, l2, l3, l4, inner_l2, inner_l3, inner_l4 = map(int, program.said.split())
    whole = l2 + l3 + l4 + inner_l2 + inner_l3 + inner_l4
    stops = whole != case.headers
    if stops:  # no tunnels over UDP: it is done after the outer UDP header
        assert case.udp is not None
        assert whole == case.udp + 8
    frames = Frames.from_list([case.frame] * MANY)
    assert (gso.parse_batch(frames)["payload"] == case.headers).all()
    ours = python("parse_batch", lambda: gso.parse_batch(frames), items=MANY)
    theirs = program.contestant(
        "DPDK rte_net_get_ptype" + (", outer headers" if stops else ""),
        "parse",
        leaves_out="keeps no offsets, checks no length"
        + ("; does not look into UDP tunnels" if stops else ""),
        unit="packet",
    )
    contest(PARSING, f"{case.kind} IPv{case.version}, batch of {MANY}", ours, theirs)
    program.close()


@pytest.fixture(scope="module")
def states() -> Any:
    good = SkbState(
        mac_header=0x24, network_header=0x32, transport_header=0x46, inner_mac_header=0x52,
        inner_network_header=0x52, inner_transport_header=0x66, len=1544, data_len=12,
        encapsulation=True,
    )  # fmt: skip
    bad = SkbState(
        mac_header=0x44, network_header=0x32, transport_header=0x46, inner_mac_header=0x44,
        inner_network_header=0x52, inner_transport_header=0x66, len=1544, data_len=12,
        encapsulation=True,
    )  # fmt: skip
    return gso.skb_array(([good] * 9 + [bad]) * 10000)


def bad_rows(rows: Any) -> Any:
    """The fault of the incident, by NumPy: one rule of many, all fields known."""
    inner, transport = rows["inner_mac_header"], rows["transport_header"]
    return inner.astype(np.int64) - transport < 0


def test_validate_against_numpy(contest: Contest, states: Any) -> None:
    assert ((gso.validate_batch(states) != 0) == bad_rows(states)).all()
    contest(
        VALIDATION,
        "100,000 sk_buffs",
        python("validate_batch", lambda: gso.validate_batch(states), items=len(states)),
        python(
            "NumPy",
            lambda: bad_rows(states),
            items=len(states),
            leaves_out=f"applies one rule, ours {len(gso.RULES)}",
            unit="sk_buff",
        ),
    )
