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


@pytest.fixture(scope="module")
def rows(effort: Effort) -> np.ndarray[Any, Any]:
    """Right and wrong ones in turn."""
    states = [gso.SkbState(**{**FIELDS, "inner_mac_header": mac}) for mac in (82, 68)]
    return np.tile(gso.skb_array(states), effort.scaled(1_000_000, 10_000))


def test_validate(contest: Contest, rows: np.ndarray[Any, Any]) -> None:
    judged = gso.validate_batch(rows)
    assert not judged[::2].any()
    assert (judged[1::2] & 1).all()
    memory = rows.view(np.uint32)
    contest(
        "header offsets",
        "rows, every second one wrong",
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
