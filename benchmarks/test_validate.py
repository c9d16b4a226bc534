"""Judging rows of sk_buff fields, beside reading the same memory once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gso
from contest import Contest, Effort, python

FIELDS = {
    "mac_header": 36,
    "network_header": 50,
    "transport_header": 70,
    "inner_mac_header": 82,
    "inner_network_header": 82,
    "inner_transport_header": 102,
    "len": 1544,
    "data_len": 12,
    "gso_size": 1448,
    "gso_type": int(gso.GsoType.TCPV4 | gso.GsoType.UDP_TUNNEL),
    "encapsulation": 1,
    "inner_protocol_type": 1,
    "inner_ipproto": 4,
    "ip_summed": 3,
    "csum_start": 102,
    "csum_offset": 16,
}


ALIKE, DIFFERENT = "rows, every second one wrong", "rows, no two alike"


@pytest.fixture(scope="module", params=[ALIKE, DIFFERENT])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def rows(effort: Effort, kind: str) -> np.ndarray[Any, Any]:
    """Right and wrong ones in turn; rows that are alike are judged once, so also others."""
    states = [gso.SkbState(**{**FIELDS, "inner_mac_header": mac}) for mac in (82, 68)]
    rows = np.tile(gso.skb_array(states), effort.scaled(1_000_000, 10_000))
    if kind == DIFFERENT:
        rows["len"] += np.arange(len(rows), dtype=np.int32)
    return rows


def test_validate(contest: Contest, kind: str, rows: np.ndarray[Any, Any]) -> None:
    judged = gso.validate_batch(rows)
    assert not judged[::2].any()
    assert (judged[1::2] & 1).all()
    memory = rows.view(np.uint32)
    contest(
        "header offsets",
        kind,
        python("validate_batch", lambda: gso.validate_batch(rows), items=len(rows)),
        python(
            "NumPy or (L)",
            lambda: np.bitwise_or.reduce(memory),
            items=len(rows),
            unit="row",
            limit=True,
            leaves_out="reads the rows once",
        ),
        bytes=rows.itemsize,
    )
