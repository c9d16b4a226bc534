"""Logs of kernels, kmemleak's reports and Kconfig files out of pieces, a byte a piece."""

from __future__ import annotations

from typing import NamedTuple

MOST = 1_000
"""Pieces of a text."""
LINES = (
    *("gso: scenario gue-a, traffic bulk", "------------[ cut here ]------------", " <TASK>"),
    *("WARNING: CPU: 0 PID: 7 at net/x.c:12 f+0x482/0x4a0", "BUG: unable to handle", "Call Trace:"),
    *("---[ end trace 0000000000000000 ]---", "refcount_t: underflow", " </TASK>", "RIP: 0010:f"),
    *("suspicious RCU usage", "possible circular locking", "-> #1 (a){+.-.}-{2:2}:", ""),
    *("       first+0x213/0x4c0", "an ordinary line", "Modules linked in: veth", "Code: 0f 0b"),
    *("netdevice: refcnt", "Oops: 0000 [#1]", "Kernel panic - not syncing", "leaked", "[ 1.0] x"),
    *("<4>[    2.123456][    T1] WARNING: CPU: 1", "\u00e9\x1b[31m", "\0", "a\rb\x0bc\x1cd\u2028e"),
    *("BUG: workqueue lockup", "list_add corruption", "unregister_netdevice: waiting for", "0x1"),
)
LEAKS = (
    "unreferenced object 0xffff888001230000 (size 232):",
    "unreferenced object 0x1 (size 99999999999999999999):",
    *('  comm "python3", pid 9, jiffies 4294900000', "  hex dump (first 32 bytes):"),
    *("  backtrace (crc 5d2b1c):", "  backtrace:", "    skb_clone+0x5a/0xd0", "    f+0x1/0x2 [a]"),
    *("    [<00000000d4d1b6b6>] g.isra.0+0x1c4/0x2a0", "    00 e0  ..backtrace", "", "    +"),
    *("    [<(____ptrval____)>] h+0x1/0x2", "unreferenced object "),
    "    " + "a" * 600 + "+0x1/0x2",
)
OPTIONS = ("NET", "IP_VS", "GUE", "FOU", "A1")
SETTINGS = (
    *(f"CONFIG_{name}=y\n" for name in OPTIONS),
    *(f"# CONFIG_{name} is not set\n" for name in OPTIONS),
    *("CONFIG_FOU=m\n", 'CONFIG_S="a b"\n', "CONFIG_=\n", "\n", "CONFIG_NET=y", "# A", "\0"),
)
"""Lines of a configuration, or of what is wanted of one."""
KCONFIG = (
    *(f"config {name}\n" for name in OPTIONS),
    *(f"menuconfig {name}\n" for name in OPTIONS[:2]),
    *('\tbool "a"\n', "\ttristate\n", "\tdepends on NET && IP_VS\n", "\tdepends on !FOU\n", "\n"),
    *("\thelp\n\t  depends on luck\n", "endmenu\n", "if NET\n", "config ", "\tdepends on "),
    *("A ", "\0"),
)


class Configured(NamedTuple):
    """What is wanted of a configuration, the configuration, and two Kconfig files."""

    wanted: str
    config: str
    files: tuple[str, str]


def log(data: bytes) -> str:
    """Return a kernel log, or a report of kmemleak, a line a byte."""
    every = (*LINES, *LEAKS)
    return "\n".join(every[byte % len(every)] for byte in data[:MOST])


def configured(data: bytes) -> Configured:
    """Return texts of a quarter of the bytes each."""
    quarter = -(-len(data[:MOST]) // 4) or 1
    cut = [data[at : at + quarter] for at in range(0, 4 * quarter, quarter)]
    wanted, config = ("".join(SETTINGS[b % len(SETTINGS)] for b in part) for part in cut[:2])
    one, other = ("".join(KCONFIG[b % len(KCONFIG)] for b in part) for part in cut[2:])
    return Configured(wanted, config, (one, other))
