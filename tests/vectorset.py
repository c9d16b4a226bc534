"""The kernel's own answers: see tests/vectors/README.md."""

import functools
import inspect
import json
import lzma
from functools import cache
from pathlib import Path

import pytest

from gso import Tunnel

FOLDER = Path(__file__).parent / "vectors"
GENERATED = FOLDER / "generated.json.xz"
STREAMS = FOLDER / "gro.json.xz"
TYPED = FOLDER / "types.json.xz"
TYPED_TOO = FOLDER / "types_more.json.xz"
ACCECN = FOLDER / "accecn.json.xz"
NEWER_GENERATED = FOLDER / "7.3" / "generated.json.xz"
PPPOE = FOLDER / "7.3" / "pppoe.json.xz"
PPPOE_STREAMS = FOLDER / "7.3" / "gro-pppoe.json.xz"
NEWER_TYPES = FOLDER / "7.3" / "types.json.xz"
NEWER_STREAMS = FOLDER / "7.3" / "gro.json.xz"
NEWER_VNET = FOLDER / "7.3" / "vnet.json.xz"
OLDER_VNET = FOLDER / "6.1" / "vnet.json.xz"
OLDER_STREAMS = FOLDER / "6.1" / "gro.json.xz"
LISTS = {
    "6.1": FOLDER / "6.1" / "lists.json.xz",
    "6.12": FOLDER / "lists.json.xz",
    "7.3": FOLDER / "lists.json.xz",
}
LISTED_STREAMS = {
    "6.12": FOLDER / "gro-lists.json.xz",
    "7.3": FOLDER / "7.3" / "gro-lists.json.xz",
}
SCTP = {"6.12": FOLDER / "sctp.json.xz", "7.3": FOLDER / "7.3" / "sctp.json.xz"}
VNET_TUNNELS = FOLDER / "vnet_tunnels.json.xz"
# Not super-packets that were seen between a tunnel and the segmenter
OTHERS = (GENERATED, STREAMS, TYPED, TYPED_TOO, ACCECN, VNET_TUNNELS)
OTHERS += (LISTS["6.12"], LISTED_STREAMS["6.12"], SCTP["6.12"])

PORTS = {
    5555: Tunnel.FOU,
    5556: Tunnel.FOU,
    5557: (Tunnel.FOU, 47),
    5558: Tunnel.FOU,
    5501: Tunnel.GUE,
    # generated.json.xz and types.json.xz
    4791: Tunnel.VXLAN,
    6083: Tunnel.GENEVE,
    **dict.fromkeys(range(7010, 7100), Tunnel.GENEVE),
}


@cache
def records():
    return [
        record
        for path in sorted(FOLDER.glob("*.json.xz"))
        if path not in OTHERS
        for record in read(path)
    ]


@cache
def generated():
    """Random packets of gso-kernel conformance, through other tunnels than those of records()."""
    return read(GENERATED)


@cache
def typed():
    """Random packets with any gso_type, for devices that can do more or less."""
    return read(TYPED)


@cache
def typed_more():
    """More of them: service headers, numbered GRE, routed and misled packets, wrong IPXIP bits."""
    return read(TYPED_TOO)


@cache
def accecn():
    """The same with TCP_ACCECN, from a newer kernel."""
    return read(ACCECN)


@cache
def vnet_tunnels():
    """Packets that follow virtio headers with bits for UDP tunnels."""
    return read(VNET_TUNNELS)


def read(path):
    return json.loads(lzma.decompress(path.read_bytes()))["records"]


def record(name):
    return next(record for record in records() if record["name"] == name)


def frame(record):
    return bytes.fromhex(record["input"]["frame"])


def outputs(record):
    return [bytes.fromhex(output) for output in record["outputs"]]


def each(records, key=lambda record: record["config"].partition("-")[0]):
    """Try a test with every record, as one test for each `key`; a failure prints the record's name.

    The test has a parameter `record`.
    """
    kinds = sorted({str(key(record)) for record in records})
    groups = [[record for record in records if str(key(record)) == kind] for kind in kinds]

    def decorate(test):
        others = [p for name, p in inspect.signature(test).parameters.items() if name != "record"]

        @functools.wraps(test)
        def whole(group, **arguments):
            for record in group:
                try:
                    test(record=record, **arguments)
                except BaseException:
                    print("record:", record["name"])
                    raise

        group = inspect.Parameter("group", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        whole.__signature__ = inspect.Signature([group, *others])
        return pytest.mark.parametrize("group", groups, ids=kinds)(whole)

    return decorate
