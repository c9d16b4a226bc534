"""Scanning a log of pwru into columns, beside grep -F, awk and Python's re on the same file."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess

import pytest

import gso

MEGABYTES = int(os.environ.get("BENCHMARK_MEGABYTES", "500"))
FUNCTIONS = ("ip_rcv", "nf_hook_slow", "ip_forward", "ip_output", "__dev_queue_xmit", "consume_skb")


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """One packet after the other, each with a flow of its own."""
    path = tmp_path_factory.mktemp("scan") / "pwru.log"
    dice = random.Random(1)
    with path.open("wb") as file:
        while file.tell() < MEGABYTES * 10**6:
            skb, port = dice.getrandbits(32) << 8, dice.randrange(1024, 60000)
            for function in FUNCTIONS:
                file.write(
                    b"0xffff%012x      9        [<empty>] %20s netns=4026531840 mark=0x0 ifindex=4 "
                    b"proto=8 mtu=1600 len=1512 172.70.2.6:%d->198.51.100.150:8000(tcp)\n"
                    % (skb, function.encode(), port)
                )
    return path


def scan(path, threads):
    with gso.TraceReader(path, threads=threads) as reader:
        return sum(map(len, reader))


def command(*words):
    program = shutil.which(words[0])
    if program is None:
        pytest.skip(f"{words[0]} is not installed")
    done = subprocess.run(words, env={**os.environ, "LC_ALL": "C"}, capture_output=True, check=True)
    return int(done.stdout)


def with_re(path):
    pattern = re.compile(rb"(0x\S+)\s+(\d+)\s+\[(.*?)\]\s+(\S+).*? len=(\d+) (\S+)")
    with path.open("rb") as file:
        return sum(pattern.match(line) is not None for line in file)


WAYS = {
    "gso": lambda path: scan(path, 1),
    "gso, 2 threads": lambda path: scan(path, 2),
    "grep -F": lambda path: command("grep", "-c", "-F", "0xffff0000deadbeef", str(path)),
    "awk": lambda path: command("awk", "{ n += NF > 0 } END { print n }", str(path)),
    "re": with_re,
}


@pytest.mark.parametrize("way", WAYS)
def test_scan(benchmark, log, way):
    if way == "grep -F":
        with log.open("ab") as file:  # one match, as grep without any ends with 1
            file.write(b"0xffff0000deadbeef 1 [x] ip_rcv len=7\n")
    benchmark.pedantic(WAYS[way], (log,), rounds=5, warmup_rounds=1)
    benchmark.extra_info["MB_per_s"] = log.stat().st_size / benchmark.stats.stats.min / 1e6
