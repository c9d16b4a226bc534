"""Record this folder's traces in virtual machines: python tests/vectors/traces/record.py [WHICH]

``tracers``: the commands are those that ``gso diagnose`` advises for a log without offsets.
``dmesg``: a module of the tests calls the kernel's ``skb_dump``. ``tools``: tools that show few
fields, and trace-cmd, in the kernel with the fault. All of them, unless one is named.
"""

from __future__ import annotations

import lzma
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from gso.diagnosis.recorders import COMMANDS  # noqa: E402
from tracers import (  # noqa: E402
    HELPERS,
    SCENARIO,
    WITHOUT_OFFSETS,
    build_dumper,
    dump,
    files,
    shown,
    trace_cmd,
)

KERNELS = {"unpatched": ["--unpatched"], "patched": ["--patched", "ipvs-gue-inner-mac-header"]}
# The older prints no inner offsets.
DUMPING = ("6.12", "6.1")
SEND = f"send {SCENARIO} incident bulk"

SCRIPT = f"""
{COMMANDS["bpftrace"]} &
attached 2
{SEND}
sleep 1
kill -INT $(pidof bpftrace)
wait
none_attached
{{ {COMMANDS["perf"]}; }} &
attached 2
{SEND}
wait
cd /sys/kernel/tracing
echo 1 > events/gso/enable
echo stacktrace > events/skb/kfree_skb/trigger
echo 1 > events/skb/kfree_skb/enable
{SEND}
echo 0 > tracing_on
cat trace > /dev/shm/logs/ftrace.log
cd /dev/shm/logs
for file in bpftrace.log perf.log ftrace.log; do show $file; done
"""


def record(script: str, kind: str, *kernel: str, folder: Path = HERE) -> None:
    """Run a script in a VM that sees a folder, and keep the logs that it shows."""
    command = [sys.executable, "-m", "gso.kernel", "shell", *KERNELS[kind], *kernel]
    command += shown(folder)
    done = subprocess.run(
        [*command, "--only", SCENARIO, "--command", HELPERS + script],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    for name, text in files(done.stdout).items():
        path = HERE / "-".join((name.removesuffix(".log"), *kernel[1:], f"{kind}.txt.xz"))
        path.write_bytes(lzma.compress(text.encode(), preset=9))
        print(path, len(text), path.stat().st_size)


def record_tools() -> None:
    """Keep what tools print that are in Debian, but not for the test bed."""
    command = [sys.executable, "-m", "gso.kernel", "shell", *KERNELS["unpatched"]]
    script = HELPERS + WITHOUT_OFFSETS + trace_cmd(COMMANDS["perf"])
    command += ["--only", SCENARIO, "--timeout", "2700", "--command", script]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    for name, text in files(done.stdout).items():
        path = HERE / "tools" / f"{name.removesuffix('.log')}.txt.xz"
        path.write_bytes(lzma.compress(text.encode(), preset=9))


def main(which: list[str]) -> None:
    if "tools" in which:
        record_tools()
    for kind in KERNELS:
        if "tracers" in which:
            record(SCRIPT, kind)
        if "dmesg" in which:
            for version in DUMPING:
                with tempfile.TemporaryDirectory() as folder:
                    module = build_dumper(version, Path(folder))
                    record(dump(module), kind, "--kernel", version, folder=Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:] or ["tracers", "dmesg", "tools"])
