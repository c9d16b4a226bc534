"""IPVS tunnels with GUE while offloads, MTU or the merging of packets are changed."""

from dataclasses import replace
from typing import Any

from gso.kernel.scenarios.families import ipvs_gue
from gso.kernel.scenarios.model import Command, Machine, Scenario
from gso.kernel.scenarios.traffic import BULK, RESPONSE, TCP_UNSEGMENTED

# Machine, device, and its usual MTU: all that a large packet goes through.
_WAY: tuple[tuple[Machine, str, int], ...] = (
    ("client", "c0", 1520),
    ("director", "d0", 1520),
    ("director", "up0", 1600),
    ("worker", "dn0", 1600),
    # The way back counts too: both ends announce the largest segment that they can take.
    ("client", "c1", 1520),
    ("worker", "w1", 1520),
)
_BASES = [s for s in ipvs_gue.SCENARIOS if s.outer == s.inner and s.checksum != "remcsum"]
_TUNNEL_FEATURES = "tx-udp_tnl-segmentation {0} tx-udp_tnl-csum-segmentation {0}"


def _ethtool(machine: Machine, device: str, do: str, undo: str) -> Command:
    return Command(machine, f"ethtool -K {device} {do}", f"ethtool -K {device} {undo}")


def _mtu(machine: Machine, device: str, do: int, undo: int) -> Command:
    return Command(machine, f"ip link set {device} mtu {do}", f"ip link set {device} mtu {undo}")


def _variant(base: Scenario, variant: str, reason: str, **changes: Any) -> Scenario:
    return replace(
        base,
        name=base.name.replace("gue-", f"gue-{variant}-"),
        kind="ipvs-gue-features",
        reason=reason,
        default=False,
        **changes,
    )


def over_veth(base: Scenario, **changes: Any) -> Scenario:
    """Let the packets leave by a veth, which hands the sk_buff itself to the worker."""
    ends = "address {there_mac} mtu 1600 type veth peer name {egress} address {here_mac} mtu 1600"
    pair = f"link add {{worker_device}} {ends} netns director"
    return replace(
        base,
        egress="up{n}",
        worker_device="dn{n}",
        director=("link set {egress} up", *base.director),
        worker=(pair, "link set {worker_device} up", *base.worker),
        **changes,
    )


def _on_veth(base: Scenario, variant: str, reason: str, **changes: Any) -> Scenario:
    """Let the packets leave by a device that can take everything whole, as good hardware can."""
    return over_veth(_variant(base, variant, reason, **changes))


def _variants(base: Scenario) -> list[Scenario]:
    tunnel_off = _TUNNEL_FEATURES.format("off")
    return [
        _on_veth(
            base,
            "tunnel-offload",
            "the device takes the packet whole: inner_mac_header is not read, the fault is hidden",
            segmenter=None,
        ),
        _on_veth(
            base,
            "tunnel-offload-off",
            "without the tunnel features the kernel segments, but leaves checksums to the device",
            partial=True,
            during=(_ethtool("director", "{egress}", tunnel_off, _TUNNEL_FEATURES.format("on")),),
        ),
        _on_veth(
            base,
            "tx-checksum-off",
            "without checksum offload a device loses the tunnel features too",
            during=(_ethtool("director", "{egress}", "tx off", "tx on"),),
        ),
        _variant(
            base,
            "gso-off",
            "gso off concerns what the machine sends itself: what GRO merged is segmented still",
            during=(_ethtool("director", "up0", "gso off", "gso on"),),
        ),
        _variant(
            base,
            "gro-off",
            "nothing is merged, so nothing has to be segmented: the fault is hidden",
            segmenter=None,
            traffic=TCP_UNSEGMENTED,
            during=(_ethtool("director", "d0", "gro off", "gro on"),),
        ),
        _variant(
            base,
            "client-tso",
            "the client's own super-packets come whole, as between virtual machines of one host",
            during=(_ethtool("client", "c0", "tso on", "tso off"),),
        ),
        _variant(
            base,
            "mtu1500",
            "smaller segments make no difference to the header offsets",
            mss=1340,
            traffic=(BULK, RESPONSE),
            during=(_mtu("director", "up0", 1500, 1600),),
        ),
        _variant(
            base,
            "mtu9000",
            "larger segments make no difference to the header offsets",
            mss=8800,
            traffic=(BULK, RESPONSE),
            during=tuple(_mtu(machine, device, 9000, usual) for machine, device, usual in _WAY),
        ),
    ]


SCENARIOS = [variant for base in _BASES for variant in _variants(base)]
