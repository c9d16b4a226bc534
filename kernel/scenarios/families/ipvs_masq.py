"""IPVS that rewrites addresses (masquerading): no tunnel, and answers come back through it."""

from dataclasses import replace

from gso.kernel.scenarios.model import Command, Family, Scenario
from gso.kernel.scenarios.traffic import BULK, SCTP, SMALL

_FAMILIES: tuple[Family, ...] = (4, 6)


def _back(family: Family) -> Command:
    """Let what the service answers take the way back through the director."""
    ip = f"ip -{family}"
    return Command(
        "worker",
        f"{ip} rule add from {{server}} lookup {{n}}",
        f"{ip} rule del from {{server}} lookup {{n}}",
    )


def _tcp(family: Family) -> Scenario:
    length = {4: 32, 6: 128}[family]
    return Scenario(
        name=f"ipvs-masq-inner{family}",
        kind="ipvs-masq",
        reason="addresses are rewritten in a super-packet, and its checksum is only begun",
        outer=family,
        inner=family,
        tunnel="NONE",
        segmenter="__skb_gso_segment",
        ipvs="-m",
        director=("route add {server} via {there} dev up0",),
        worker=(
            f"addr add {{server}}/{length} dev lo{' nodad' * (family == 6)}",
            "route add default via {here} dev dn0 table {n}",
        ),
        during=(_back(family),),
        traffic=(BULK, SMALL),
        refusals=("Tcp.InCsumErrors",),
    )


def _sctp(family: Family) -> Scenario:
    base = _tcp(family)
    return replace(
        base,
        name=f"ipvs-masq-sctp-inner{family}",
        kind="ipvs-masq-sctp",
        reason="the CRC of a super-packet of SCTP is made for each segment, and not before",
        protocol="sctp",
        traffic=SCTP,
        refusals=("SctpChecksumErrors",),
        modules=("sctp",),
    )


SCENARIOS = [make(family) for family in _FAMILIES for make in (_tcp, _sctp)]
