"""Hand packets to devices, and record what came to the segmenting device and what left it.

::

    tunnel or link device -> out0 --redirect--> mir0 --redirect--> wire0 ---- wire1
                                        (super-packet seen)  (segmented)   (segments seen)
                         TAP device --redirect-----------------^

A redirected packet needs no device that can carry it, so super-packets of every kind are seen
whole. All offloads of ``wire0`` are off. A frame with a type of its own is sent after each packet:
when it arrives, so has all that the packet became.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .btf import VMLINUX, Btf
from .capture import Tap
from .netns import SetupError, inside, run, try_ip_batch
from .probes import append, write
from .records import NO_DEVICE, OUTCOME, PACKET, PROBED_OFFSETS, with_length
from .wire import open_tap

_NAMESPACE = "segmenter"
_SOL_PACKET, _PACKET_VNET_HDR = 263, 15
_FENCE_TYPE = 0x88B5  # IEEE 802 local experimental
_BLOCK = 64  # packets between two looks at the trace
_PATIENCE = 20.0

_MODULES = (
    *(
        "tun",
        "veth",
        "dummy",
        "vxlan",
        "geneve",
        "ipip",
        "sit",
        "ip6_tunnel",
        "ip_gre",
        "ip6_gre",
        "fou",
    ),
    *("fou6", "nsh", "8021q", "sch_ingress", "cls_matchall", "act_mirred", "act_mpls"),
    *("act_vlan", "act_tunnel_key", "mpls_router", "mpls_iptunnel", "pppoe"),
)
_OFFLOADS = "tx off sg off tso off gso off gro off txvlan off rxvlan off tx-udp-segmentation off"
_MAC = {"out0": "02:00:00:00:00:01", "there": "02:00:00:00:00:02"}


def perform(folder: Path, plan: dict[str, Any], progress: Callable[..., None]) -> dict[str, Any]:
    """Set everything up, send all packets, and return which devices there are."""
    progress(stage="topology")
    subprocess.run(["modprobe", "--all", "--quiet", *_MODULES], check=False)
    _links()
    refused = {}
    tap = (plan["tap"], open_tap(_NAMESPACE, plan["tap"], vnet=True))
    for device in plan["devices"]:
        progress(stage="topology", device=device["name"])
        if why := _device(device):
            refused[device["name"]] = why
    progress(stage="packets")
    with (folder / "outcome.bin").open("wb") as out, (folder / "metadata.txt").open("w") as notes:
        names = [device["name"] for device in plan["devices"]]
        sender = _Sender(names, set(refused), plan["direct"], tap)
        for done, outcome in enumerate(sender.send_all(Path(plan["packets"]), notes), 1):
            out.write(outcome)
            if done % _BLOCK == 0:
                progress(stage="packets", done=done)
    return {"refused": refused}


def _links() -> None:
    run(["ip", "netns", "add", _NAMESPACE])
    with inside(_NAMESPACE):
        settings = Path("/proc/sys/net/ipv6/conf")
        for name in ("all", "default"):
            (settings / name / "accept_dad").write_text("0")
            (settings / name / "router_solicitations").write_text("0")
        (settings / "default/addr_gen_mode").write_text("1")
    Path("/proc/sys/net/core/netdev_max_backlog").write_text("10000")
    pairs = [
        f"link add {name}0 mtu 65535 type veth peer name {name}1 mtu 65535"
        for name in ("out", "wire")
    ]
    there = _MAC["there"]
    failed = try_ip_batch(
        _NAMESPACE,
        [
            "link set lo up",
            *pairs,
            "link add mir0 mtu 65535 type dummy",
            f"link set out0 address {_MAC['out0']}",
            *(f"link set {name} up" for name in ("out0", "out1", "mir0", "wire0", "wire1")),
            "addr add 10.0.0.1/8 dev out0",
            "addr add fd00::1/64 dev out0 nodad",
            *(f"neigh add 10.0.1.{n} lladdr {there} dev out0 nud permanent" for n in range(256)),
            *(f"neigh add fd00::1:{n} lladdr {there} dev out0 nud permanent" for n in range(256)),
        ],
    )
    if failed:
        raise SetupError(str(failed))
    for name in ("mir0", "wire0", "wire1"):
        with inside(_NAMESPACE):
            Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    _inside("ethtool", "-K", "wire0", *_OFFLOADS.split())
    _inside("ethtool", "-K", "wire1", "gro", "off", "rxvlan", "off")
    for line in (
        "qdisc add dev out0 clsact",
        "filter add dev out0 egress matchall action mirred ingress redirect dev mir0",
        "qdisc add dev mir0 clsact",
        "filter add dev mir0 ingress matchall action mirred egress redirect dev wire0",
    ):
        run(["tc", "-n", _NAMESPACE, *line.split()])


def _inside(*command: str) -> None:
    run(["ip", "netns", "exec", _NAMESPACE, *command])


def _device(device: dict[str, Any]) -> str:
    """Make a device; return why it cannot be, empty if it can."""
    failed = try_ip_batch(_NAMESPACE, device["ip"]) if device["ip"] else {}
    if failed:
        line, why = next(iter(failed.items()))
        return f"ip {line}: {why}"
    try:
        for line in device["tc"]:
            run(["tc", "-n", _NAMESPACE, *line.split()])
    except SetupError as error:
        return str(error)
    return ""


class _Notes:
    """The kernel's trace of each super-packet: offload state, and offsets where it segments."""

    def __init__(self) -> None:
        write("buffer_size_kb", "4096")
        btf = Btf(VMLINUX.read_bytes(), {"sk_buff", "net_device"})
        at = {
            name: btf.offset("sk_buff", name) for name in (*PROBED_OFFSETS, "head", "data", "dev")
        }
        fields = [f"{name}=+{at[name]}($arg1):u16" for name in PROBED_OFFSETS]
        fields.append(f"head=+{at['head']}($arg1):u64 origin=+{at['data']}($arg1):u64")
        fields.append(f"dev=+{btf.offset('net_device', 'name')}(+{at['dev']}($arg1)):string")
        append("kprobe_events", f"p:gso/gso_segment __skb_gso_segment {' '.join(fields)}")
        write("events/gso/gso_segment/filter", 'dev == "wire0"')
        write("events/gso/gso_segment/enable", "1")
        for name in ("netif_rx_entry", "netif_receive_skb_entry"):
            write(f"events/net/{name}/filter", f'name == "mir0" && protocol != {_FENCE_TYPE}')
            write(f"events/net/{name}/enable", "1")
        write("tracing_on", "1")

    def packet(self, number: int) -> None:
        """Mark in the trace that what follows is of this packet."""
        write("trace_marker", f"packet {number}")

    def taken(self) -> str:
        """Return the trace so far, and begin anew."""
        text = Path("/sys/kernel/tracing/trace").read_text()
        write("trace", "")
        return text


class _Sender:
    """Sends packets one by one, and collects what became of each."""

    def __init__(
        self, names: list[str], refused: set[str], direct: str, tap: tuple[str, int]
    ) -> None:
        self._names, self._refused, self._direct = names, refused, direct
        self._tap, self._tap_file = tap
        with inside(_NAMESPACE):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._fence = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        # Without virtio_net_hdr: it cannot describe all that is seen.
        self._super = Tap(_NAMESPACE, "mir0", bare=True)
        self._wire = Tap(_NAMESPACE, "wire1", bare=True)
        self._notes = _Notes()

    def send_all(self, packets: Path, notes: Any) -> Iterator[bytes]:
        """Send what is in the file; yield an outcome for each."""
        with packets.open("rb") as source:
            number = 0
            while head := source.read(PACKET.size):
                device, protocol, length = PACKET.unpack(head)
                yield self._outcome(number, self._names[device], protocol, source.read(length))
                number += 1
                if number % _BLOCK == 0:
                    notes.write(self._notes.taken())
        notes.write(self._notes.taken())

    def _outcome(self, number: int, device: str, protocol: int, packet: bytes) -> bytes:
        if device in self._refused:
            return OUTCOME.pack(NO_DEVICE, 0, 0)
        self._notes.packet(number)
        error = 0
        try:
            if device == self._tap:
                os.write(self._tap_file, packet)
            else:
                self._socket.sendto(packet, (device, protocol))
        except OSError as failure:
            error = failure.errno or -2
        supers, segments = self._arrivals(number, device)
        frames = [*supers, *segments]
        return OUTCOME.pack(error, len(supers), len(segments)) + b"".join(
            with_length(frame) for frame in frames
        )

    def _arrivals(self, number: int, device: str) -> tuple[list[bytes], list[bytes]]:
        """Send the fence, and return the super-packets and segments before it."""
        fence = bytes.fromhex("020000000002020000000001") + _FENCE_TYPE.to_bytes(2, "big")
        fence += number.to_bytes(46, "big")
        direct = device in (self._direct, self._tap)
        self._fence.sendto(fence, (self._direct if direct else "out0", 0))
        supers, segments = [], []
        deadline = time.monotonic() + _PATIENCE
        while True:
            segments += [frame for _, _, frame in self._wire.arrived()]
            if segments and segments[-1] == fence:
                break
            if not direct:
                supers += [frame for _, _, frame in self._super.arrived()]
            if time.monotonic() > deadline:
                raise TimeoutError(f"packet {number}: the frame after it did not arrive")
            time.sleep(0)
        if not direct:
            supers += [frame for _, _, frame in self._super.arrived()]
        return [f for f in supers if f != fence], segments[:-1]
