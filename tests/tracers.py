"""Shell functions for running tracers in the test bed's VM, and for what their scripts show."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from gso.kernel.trees import debian
from gso.kernel.trees.modules import own_module

from testbed import gso_kernel

DUMPER = Path(__file__).parent / "kernel/dump_skbs"
SCENARIO = "gue-outer4-inner4-nocsum"

HELPERS = """
kprobes() { grep -vc DISABLED /sys/kernel/debug/kprobes/list; }
wait_until() {  # COMMAND...; a tracer takes a minute and more to start in a machine without KVM
    limit=$(($(date +%s) + 400))
    until "$@"; do
        [ "$(date +%s)" -lt $limit ] || { echo "waited in vain: $*" >&2; exit 1; }
        sleep 0.2
    done
}
are_set() { [ "$(kprobes)" -ge "$1" ]; }
attached() { wait_until are_set "$1"; }  # tracers say nothing when they are ready
none_attached() {
    for _ in $(seq 100); do
        [ "$(kprobes)" -eq 0 ] && return
        sleep 0.1
    done
    echo "kprobes are left: $(cat /sys/kernel/debug/kprobes/list)"
}
show() { echo "=== $1"; cat "$1"; }
mkdir /dev/shm/logs && cd /dev/shm/logs
(
    sleep 1800
    { echo "not at the end after 1800 s:"; ps -ef; tail -n 20 *; } >&2
    kill -KILL $$
) &
"""

WITHOUT_OFFSETS = f"""
perf trace -a -e 'skb:*' -e 'net:*' -o perf-trace.log send {SCENARIO} bulk > /dev/null
perf trace -a -e 'skb:kfree_skb/max-stack=16/' -o perf-trace-stacks.log \\
    send {SCENARIO} bulk > /dev/null
modprobe drop_monitor
drops() {{  # MODE COMMANDS; while it watches it reads no commands, until it is interrupted
    mkfifo ask-$1
    stdbuf -oL dropwatch -l kas < ask-$1 > dropwatch-$1.log 2>&1 &
    exec 7> ask-$1
    printf "set alertmode $1\\n$2start\\n" >&7
    wait_until grep -q 'monitoring activated' dropwatch-$1.log
    send {SCENARIO} bulk > /dev/null
    sleep 3
    kill -INT $!
    echo exit >&7
    exec 7>&-
    wait $!
}}
drops summary ''
drops packet 'set trunc 160\\n'
for file in perf-trace perf-trace-stacks dropwatch-summary dropwatch-packet; do show $file.log; done
"""
"""A script of tools that show drops, and no offsets."""


def trace_cmd(advised: str) -> str:
    """A script that records with trace-cmd, by the probes of the advised command for perf."""
    probes = advised.partition("; done; ")[0]
    return f"""
{probes}; done
trace-cmd record -o trace.dat -e gso -e skb:kfree_skb -T send {SCENARIO} bulk > /dev/null 2>&1
trace-cmd report -i trace.dat > trace-cmd.log 2> /dev/null
show trace-cmd.log
"""


def shown(folder: Path) -> list[str]:
    """Options that show a folder to the machine, and the library with the Python that runs it."""
    folders = (folder, Path(__file__).parents[1], Path(sys.base_prefix))
    return [option for each in folders for option in ("--show", str(each))]


def said(
    folder: Path, version: str, modules: str, command: list[str], key: str
) -> list[dict[str, Any]]:
    """Run a program in a machine of this kernel; return its objects of JSON with this first key."""
    script = f"for module in {modules}; do modprobe $module; done\n{shlex.join(command)}\n"
    machine = ("--kernel", version, "--only", SCENARIO, *shown(folder))
    words = ("--command", script, "--timeout", "900")
    done = gso_kernel(folder, "shell", *machine, *words, timeout=1200)
    assert done.status == 0, done.out + done.err
    return [json.loads(line) for line in done.out.splitlines() if line.startswith(f'{{"{key}"')]


def build_dumper(version: str | None, folder: Path) -> Path:
    """Build the module that prints packets into the kernel's log, for one of Debian's kernels."""
    kernel = debian.choose(version)
    debian.fetch(kernel)
    # Into the folder that the machine sees.
    return Path(shutil.copy(own_module(kernel, DUMPER), folder))


def dump(module: Path) -> str:
    """A script that shows the kernel's log of the incident's packet, whole, and of more, cut."""
    return f"""
insmod {module}
cd /sys/module/{module.stem}/parameters
dmesg --clear
echo 1 > full; echo 1 > left
send {SCENARIO} incident > /dev/null
echo 0 > full; echo 8 > left
send {SCENARIO} bulk > /dev/null
cd /dev/shm/logs
dmesg > dmesg.log
show dmesg.log
"""


def files(output: str) -> dict[str, str]:
    """The files that a script showed, by name."""
    parts = [part.partition("\n") for part in output.split("=== ")[1:]]
    return {name: text for name, _, text in parts}
