"""Judging rows of sk_buff fields, beside reading the same memory once: rows per second."""

from __future__ import annotations

import os

import numpy as np
import pytest

import gso

ROWS = int(os.environ.get("BENCHMARK_ROWS", "2000000"))
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
    "gso_type": gso.GsoType.TCPV4 | gso.GsoType.UDP_TUNNEL,
    "encapsulation": 1,
    "inner_protocol_type": 1,
    "inner_ipproto": 4,
    "ip_summed": 3,
    "csum_start": 102,
    "csum_offset": 16,
}


@pytest.fixture(scope="module")
def rows():
    states = [gso.SkbState(**{**FIELDS, "inner_mac_header": mac}) for mac in (82, 68)]
    return np.tile(gso.skb_array(states), ROWS // 2)


@pytest.mark.parametrize("what", ["validate_batch", "read"])
def test_validate(benchmark, rows, what):
    words = rows.view(np.uint32)
    operation = {
        "validate_batch": lambda: gso.validate_batch(rows),
        "read": lambda: np.bitwise_or.reduce(words),
    }[what]
    benchmark.pedantic(operation, rounds=10, warmup_rounds=1)
    seconds = benchmark.stats.stats.min
    benchmark.extra_info["rows_per_s"] = len(rows) / seconds
    benchmark.extra_info["GB_per_s"] = rows.nbytes / seconds / 1e9
    if what == "validate_batch":
        masks = gso.validate_batch(rows)
        assert not masks[::2].any()
        assert (masks[1::2] & 1).all()
