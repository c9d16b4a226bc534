"""Switch features of devices as ``ethtool -K`` and ``ip link`` do, which are slow to start."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from contextlib import suppress

from .netns import inside
from .sizes import set_link

_SIOCETHTOOL = 0x8946
# ETHTOOL_GSTRINGS, _GSSET_INFO, _SFEATURES; ETH_SS_FEATURES; ETH_GSTRING_LEN
_STRINGS, _COUNT, _SET, _FEATURES, _LENGTH = 0x1B, 0x37, 0x3B, 4, 32
_IFLA_GSO_MAX_SEGS = 40
_SHORT = {
    "tso": [f"tx-tcp{kind}-segmentation" for kind in ("", "-ecn", "-mangleid", "6", "-accecn")],
    "gso": ["tx-generic-segmentation"],
    "gro": ["rx-gro"],
    "tx": [f"tx-checksum-{kind}" for kind in ("ipv4", "ip-generic", "ipv6", "fcoe-crc", "sctp")],
    "txvlan": ["tx-vlan-hw-insert"],
}
"""The short names of ethtool, and which of the kernel's features each of them stands for."""


class Switches:
    """The devices of a namespace, as they are now; its sockets stay in it."""

    def __init__(self, namespace: str) -> None:
        with inside(namespace):
            self._control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._links = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
            self.devices = {name: index for index, name in socket.if_nameindex()}
        self._known = self._names()

    def set(self, device: str, words: str) -> None:
        """Switch features: names of ethtool, each with ``on`` or ``off`` behind it.

        What the kernel does not know, or the device cannot change, stays as it is.
        """
        blocks = [[0, 0] for _ in range(-(-len(self._known) // 32))]
        for word, state in zip(words.split()[::2], words.split()[1::2], strict=True):
            for name in _SHORT.get(word, [word]):
                at = self._known.get(name)
                if at is not None:
                    blocks[at // 32][0] |= 1 << at % 32
                    blocks[at // 32][1] |= (state == "on") << at % 32
        asked = struct.pack("=II", _SET, len(blocks))
        with suppress(OSError):
            self._ask(device, asked + b"".join(struct.pack("=II", *block) for block in blocks))

    def allow_segments(self, device: str, most: int) -> None:
        """Set a device's gso_max_segs."""
        self._links.send(set_link(self.devices[device], _IFLA_GSO_MAX_SEGS, most))

    def _names(self) -> dict[str, int]:
        """Return all features that this kernel knows, and their bits."""
        device = next(iter(self.devices))
        found = self._ask(device, struct.pack("=IIQI", _COUNT, 0, 1 << _FEATURES, 0))
        (count,) = struct.unpack_from("=I", found, 16)
        room = bytes(count * _LENGTH)
        data = self._ask(device, struct.pack("=III", _STRINGS, _FEATURES, count) + room)[12:]
        names = (data[at : at + _LENGTH] for at in range(0, count * _LENGTH, _LENGTH))
        return {name.split(b"\0")[0].decode(): bit for bit, name in enumerate(names)}

    def _ask(self, device: str, asked: bytes) -> bytes:
        value = ctypes.create_string_buffer(asked, len(asked))
        request = struct.pack("16sP", device.encode(), ctypes.addressof(value))
        fcntl.ioctl(self._control, _SIOCETHTOOL, request.ljust(40, b"\0"))
        return value.raw
