"""Header offsets, drops and their stacks, by tracefs events that cost almost nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .btf import VMLINUX, Btf

TRACEFS = Path("/sys/kernel/tracing")
_GROUP = "gso"

_U16 = (
    *("inner_mac_header", "inner_network_header", "inner_transport_header"),
    *("mac_header", "network_header", "transport_header"),
)
_U32 = ("len", "data_len")

# 160 bytes: enough for Ethernet, IPv6, UDP, GUE with its option, IPv6 and TCP with timestamps.
_HEADER_WORDS = 20

# Every scenario's egress device has a name that begins so.
_EGRESS = 'dev ~ "up*"'

# Function, number of its sk_buff argument, and a filter that keeps the trace small.
_FUNCTIONS = (
    ("ip_vs_in_hook", 2, "len > 1000"),
    ("__dev_queue_xmit", 1, f"{_EGRESS} && len > 1000"),
    ("__skb_gso_segment", 1, _EGRESS),
    ("skb_udp_tunnel_segment", 1, _EGRESS),
    ("gre_gso_segment", 1, _EGRESS),
)


class Probes:
    """The events that were set up, and the reasons why others could not be."""

    def __init__(self) -> None:
        self.missing: dict[str, str] = {}
        write("buffer_size_kb", "4096")
        btf = Btf(VMLINUX.read_bytes(), {"sk_buff", "net_device"})
        wanted = (*_U16, *_U32, "dev", "data")
        self.offsets = {name: btf.offset("sk_buff", name) for name in wanted}
        self.offsets["net_device.name"] = btf.offset("net_device", "name")
        for function, argument, condition in _FUNCTIONS:
            self._probe(function, argument, condition)
        self._returns("__skb_gso_segment")
        self._drops()
        write("tracing_on", "1")

    def _fetch(self, argument: int) -> str:
        fields = [f"skb=$arg{argument}:x64"]
        fields += [f"{name}=+{self.offsets[name]}($arg{argument}):u16" for name in _U16]
        fields += [f"{name}=+{self.offsets[name]}($arg{argument}):u32" for name in _U32]
        device, name = self.offsets["dev"], self.offsets["net_device.name"]
        fields.append(f"dev=+{name}(+{device}($arg{argument})):string")
        fields.append(f"data=+0(+{self.offsets['data']}($arg{argument})):x64[{_HEADER_WORDS}]")
        return " ".join(fields)

    def _probe(self, function: str, argument: int, condition: str) -> None:
        try:
            append("kprobe_events", f"p:{_GROUP}/{function} {function} {self._fetch(argument)}")
            write(f"events/{_GROUP}/{function}/filter", condition)
            write(f"events/{_GROUP}/{function}/enable", "1")
        except OSError as error:
            self.missing[function] = str(error)

    def _returns(self, function: str) -> None:
        event = f"{function}_returns"
        try:
            append("kprobe_events", f"r:{_GROUP}/{event} {function} result=$retval:s64")
            write(f"events/{_GROUP}/{event}/enable", "1")
        except OSError as error:
            self.missing[event] = str(error)

    def _drops(self) -> None:
        event = "events/skb/kfree_skb"
        condition = "(protocol == 0x800 || protocol == 0x86dd || protocol == 0x8100)"
        # The copies that the mirror makes are for another host's MAC address and end there.
        reason = re.search(r"\{ (\w+), \"OTHERHOST\" \}", (TRACEFS / event / "format").read_text())
        if reason:
            condition += f" && reason != {int(reason[1], 0)}"
        try:
            write(f"{event}/filter", condition)
            write(f"{event}/trigger", f"stacktrace if {condition}")
            write(f"{event}/enable", "1")
        except OSError as error:
            self.missing["kfree_skb"] = str(error)

    @staticmethod
    def clear() -> None:
        """Forget the events recorded so far."""
        (TRACEFS / "trace").write_text("")

    @staticmethod
    def pause() -> None:
        """Record nothing more; the probes go on to count their hits."""
        write("tracing_on", "0")

    @staticmethod
    def save(path: Path) -> None:
        """Write the events recorded so far as ftrace text."""
        path.write_bytes((TRACEFS / "trace").read_bytes())


def write(name: str, value: str) -> None:
    """Write to a file of tracefs."""
    (TRACEFS / name).write_text(value)


def append(name: str, value: str) -> None:
    """Add a line to a file of tracefs."""
    # Not open("a"): that seeks to the end, which tracefs refuses.
    control = os.open(TRACEFS / name, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(control, value.encode() + b"\n")
    finally:
        os.close(control)
