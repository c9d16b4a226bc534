"""Commands and programs that record header offsets in the formats of `gso.read_trace`.

`COMMANDS` are to be run by hand, on any host; `gso.diagnosis.live` runs a program of its own, made
of the same parts. bpftrace's output has the form of ftrace's.
"""

from __future__ import annotations

from collections.abc import Iterable

from gso.diagnosis.kernel_functions import ENCAPSULATORS, TUNNEL_SEGMENTERS
from gso.diagnosis.packet_filter import EVERYTHING, PacketFilter
from gso.skb._skb import FIELDS

__all__ = ["COMMANDS", "NEEDS", "RECORDED", "bpftrace_program"]

_FUNCTIONS = ("__dev_queue_xmit", "skb_udp_tunnel_segment")
"""Functions that every kernel has, if only as a module."""
_STACK = 16

# --- bpftrace ---

_NOT_RECORDED = frozenset(
    {"payload", "tunnel", "l4", "tnl_hlen", "ihl", "doff", "headroom", "mtu", "context"}
    | {"gre_flags", "frag_list"}
)
"""Fields of the readers' table that no sk_buff has, or that would have to be read from the data."""
_SHARED = {"gso_size", "gso_type"}

RECORDED = tuple(name for name in FIELDS if name not in _NOT_RECORDED)
"""The fields that the program prints."""

_HEAD = '"%s-%d [%03d] %llu.%09llu: '
_HEAD_VALUES = "comm, pid, cpu, nsecs / 1000000000, nsecs % 1000000000"


def bpftrace_program(
    functions: Iterable[str], *, stacks: bool = False, where: PacketFilter = EVERYTHING
) -> str:
    """Return a bpftrace program that prints events as ftrace does.

    It records packets that are to be segmented inside a tunnel, the errors that segmenters return,
    and how those packets end, drops with their stacks. Where nothing is encapsulated it is quiet.

    Args:
        functions: the kernel's functions to attach to; their first argument is the sk_buff.
        stacks: whether each event has its stack, too.
        where: the packets to record; one that it has taken is followed to its end.
    """
    functions = list(functions)
    segmenters = [name for name in TUNNEL_SEGMENTERS if name in functions]
    if where == EVERYTHING:
        parts = [_probe(name, stacks=stacks) for name in functions]
        return "\n".join([*parts, *map(_return, segmenters), _END])
    parts = [_probe(name, stacks=stacks, where=where) for name in functions]
    return "\n".join([*parts, *map(_return_of_chosen, segmenters), _END])


def _probe(function: str, *, stacks: bool, where: PacketFilter = EVERYTHING) -> str:
    words = " ".join(f"{name}=%d" for name in RECORDED)
    values = ", ".join(f"{'$i' if name in _SHARED else '$s'}->{name}" for name in RECORDED)
    # Encapsulators are entered before the packet is encapsulated.
    seen = function not in ENCAPSULATORS
    condition = "$s->encapsulation && $i->gso_size > 0" if seen else "$i->gso_size > 0"
    first = last = ""
    if chosen := where.conditions():
        condition = f"{condition} && (@seen[arg0] || ({' && '.join(chosen)}))"
        if function in TUNNEL_SEGMENTERS:
            first, last = f"  @in_{function}[tid] = 0;\n", f"    @in_{function}[tid] = 1;\n"
    stack, frames = ("%s", f", kstack({_STACK})") if stacks else ("", "")
    return f"""\
kprobe:{function} {{
  $s = (struct sk_buff *)arg0;
  $i = (struct skb_shared_info *)($s->head + $s->end);
{first}  if ({condition}) {{
{last}    @seen[arg0] = 1;
    printf({_HEAD}{function}: ({function}+0x0) skb=0x%llx dev=\\"%s\\" {words}{stack}\\n",
      {_HEAD_VALUES},
      arg0, $s->dev->name, {values}{frames});
  }}
}}"""


def _return(function: str) -> str:
    # A pointer is an error number where it is one of the last 4095 (include/linux/err.h).
    return f"""\
kretprobe:{function} /retval >= 0xfffffffffffff001/ {{
  printf({_HEAD}{function}: (0 <- {function}) result=%lld\\n", {_HEAD_VALUES}, (int64)retval);
}}"""


def _return_of_chosen(function: str) -> str:
    """Return the probe of a segmenter's end that tells of packets which its entry has told of."""
    return f"""\
kretprobe:{function} /@in_{function}[tid]/ {{
  if (retval >= 0xfffffffffffff001) {{
    printf({_HEAD}{function}: (0 <- {function}) result=%lld\\n", {_HEAD_VALUES}, (int64)retval);
  }}
  delete(@in_{function}[tid]);
}}"""


_END = f"""\
tracepoint:skb:kfree_skb /@seen[(uint64)args->skbaddr]/ {{
  printf({_HEAD}kfree_skb: skbaddr=0x%llx location=0x%llx\\n%s\\n", {_HEAD_VALUES},
    (uint64)args->skbaddr, (uint64)args->location, kstack({_STACK}));
  delete(@seen[(uint64)args->skbaddr]);
}}
tracepoint:skb:consume_skb /@seen[(uint64)args->skbaddr]/ {{
  printf({_HEAD}consume_skb: skbaddr=0x%llx\\n", {_HEAD_VALUES}, (uint64)args->skbaddr);
  delete(@seen[(uint64)args->skbaddr]);
}}
END {{ clear(@seen); }}
"""


def _bpftrace() -> str:
    one_line = " ".join(bpftrace_program(_FUNCTIONS, stacks=True).split())
    return f"bpftrace -B none -e '{one_line}' > bpftrace.log"


# --- perf ---

_U16 = (
    *("inner_mac_header", "inner_network_header", "inner_transport_header"),
    *("mac_header", "network_header", "transport_header"),
)
_U32 = ("len", "data_len")


def _perf(events: str) -> str:
    return (
        f"perf record -a -g -c 1 -e '{events}:*' -e skb:kfree_skb -e skb:consume_skb "
        "-- sleep 10 && perf script > perf.log"
    )


def _perf_btf() -> str:
    arguments = ["skb=skb:x64", *(f"{name}=skb->{name}:u16" for name in _U16)]
    arguments += [*(f"{name}=skb->{name}:u32" for name in _U32), "encapsulation=skb->encapsulation"]
    return (
        f"for f in {' '.join(_FUNCTIONS)}; do "
        f'echo "p:gso/$f $f {" ".join(arguments)}" >> /sys/kernel/tracing/kprobe_events; done; '
        + _perf("gso")
    )


def _perf_dwarf() -> str:
    arguments = ["skb", *(f"skb->{name}" for name in _U16), *(f"skb->{name}:u" for name in _U32)]
    probes = [f"perf probe --add '{name} {' '.join(arguments)}'" for name in _FUNCTIONS]
    return " && ".join([*probes, _perf("probe")])


_PWRU = (
    "pwru --all-kmods --timestamp current --output-tuple --output-stack "
    + "".join(
        f"--output-skb-metadata 'skb->{name}' "  # it takes four at most
        for name in (
            *("inner_mac_header", "inner_network_header"),
            *("network_header", "transport_header"),
        )
    )
    + "--output-file pwru.log"
)

COMMANDS = {
    "pwru": _PWRU,
    "bpftrace": _bpftrace(),
    "perf": _perf_btf(),
    "perf-debug-symbols": _perf_dwarf(),
}
"""Shell commands, as root, by the name of the tool."""

NEEDS = {
    "pwru": "BTF; add a pcap filter such as 'host 192.0.2.1', and interrupt it to end",
    "bpftrace": "BTF; interrupt it to end",
    "perf": "Linux 6.6 or later with BTF; it ends after ten seconds",
    "perf-debug-symbols": "the kernel's debug symbols; it ends after ten seconds",
}
"""Requirements of each command, and how it ends."""
