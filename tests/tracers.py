"""Shell functions for running tracers in the test bed's VM, and for what their scripts show."""

from __future__ import annotations

SCENARIO = "gue-outer4-inner4-nocsum"

HELPERS = """
kprobes() { grep -vc DISABLED /sys/kernel/debug/kprobes/list; }
attached() {  # tracers say nothing when they are ready, but so many kprobes are on then
    for _ in $(seq 600); do
        [ "$(kprobes)" -ge "$1" ] && return
        sleep 0.1
    done
    echo "no kprobes were set" >&2
}
none_attached() {
    for _ in $(seq 100); do
        [ "$(kprobes)" -eq 0 ] && return
        sleep 0.1
    done
    echo "kprobes are left: $(cat /sys/kernel/debug/kprobes/list)"
}
show() { echo "=== $1"; cat "$1"; }
mkdir /dev/shm/logs && cd /dev/shm/logs
"""


def files(output: str) -> dict[str, str]:
    """The files that a script showed, by name."""
    parts = [part.partition("\n") for part in output.split("=== ")[1:]]
    return {name: text for name, _, text in parts}
