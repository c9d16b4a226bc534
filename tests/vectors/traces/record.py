"""Record this folder's traces in virtual machines: python tests/vectors/traces/record.py

The commands are those that ``gso diagnose`` advises for a log without offsets.
"""

from __future__ import annotations

import lzma
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from tracers import HELPERS, SCENARIO, files  # noqa: E402

from gso.recorders import COMMANDS  # noqa: E402

KERNELS = {"unpatched": ["--unpatched"], "patched": ["--patched", "ipvs-gue-inner-mac-header"]}
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


def main() -> None:
    for kind, which in KERNELS.items():
        command = [sys.executable, "-m", "gso.kernel", "shell", *which, "--only", SCENARIO]
        done = subprocess.run(
            [*command, "--command", HELPERS + SCRIPT], stdout=subprocess.PIPE, check=True, text=True
        )
        for name, text in files(done.stdout).items():
            path = HERE / f"{name.removesuffix('.log')}-{kind}.txt.xz"
            path.write_bytes(lzma.compress(text.encode(), preset=9))
            print(path, len(text), path.stat().st_size)


if __name__ == "__main__":
    main()
