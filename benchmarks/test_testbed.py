"""The test bed: seconds for builds, boots, scenarios and a verdict, of real kernels.

Debian's kernel with one module rebuilt; and, where GSO_BENCH_KERNEL_SOURCE names a kernel tree, the
small kernel built from it. Downloads are kept between runs, as are the objects of a whole kernel;
the modules are built anew, so that their build is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from gso.kernel.paths import cache_folder

from contest import Contest

AREA = "test bed"
PATCH = Path(__file__).parents[1] / "patches" / "ipvs-gue-inner-mac-header.patch"
SOURCE = os.environ.get("GSO_BENCH_KERNEL_SOURCE")
KERNELS = {"Debian's kernel": [], "small kernel": ["--source", SOURCE or ""]}


def cache_without_modules(folder: Path) -> Path:
    """The test bed's cache, but for the modules it has built."""
    cache, kept = folder / "cache", cache_folder()
    cache.mkdir()
    for name in ("build", "debian", "initramfs", "trees"):
        (kept / name).mkdir(parents=True, exist_ok=True)
        (cache / name).symlink_to(kept / name)
    return cache


def verified(folder: Path, options: list[str]) -> tuple[float, dict[str, Any]]:
    """Seconds of a whole verdict, and its report."""
    report = folder / "report.json"
    command = [sys.executable, "-m", "gso.kernel", "verify", str(PATCH), "--quiet"]
    start = time.monotonic()
    done = subprocess.run(
        [*command, "--json", str(report), *options],
        cwd=folder,
        env={**os.environ, "PYGSO_CACHE": str(cache_without_modules(folder))},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - start
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return seconds, json.loads(report.read_text())


@pytest.mark.usefixtures("all_cores")
@pytest.mark.parametrize("kernel", KERNELS)
def test_verify(contest: Contest, tmp_path: Path, kernel: str) -> None:
    if kernel == "small kernel" and not SOURCE:
        pytest.skip("GSO_BENCH_KERNEL_SOURCE names no kernel tree")
    seconds, report = verified(tmp_path, KERNELS[kernel])
    assert report["verdict"] == "FIXED"
    (found,) = report["kernels"]
    cells = sum(len(s["unpatched"]) + len(s["patched"]) for s in found["scenarios"])
    boots = [boot["seconds"] for boot in found["boots"]]
    stages = {f"seconds of {name}": n for name, n in found["seconds"].items()}
    contest.once(
        AREA,
        f"verify, {kernel}",
        seconds,
        kernel=found["kernel"],
        acceleration=report["acceleration"],
        **stages,
        boots=len(boots),
        seconds_of_a_boot_with_all_traffic=sum(boots) / len(boots),
        scenarios=len(found["scenarios"]),
        seconds_of_a_scenario=sum(boots) / len(boots) / len(found["scenarios"]),
        cells=cells,
        cells_per_minute=cells / max(boots) * 60,
    )
