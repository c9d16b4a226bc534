"""Which packets of a live host are watched, as a condition in bpftrace's language.

Whatever a user gives becomes a number or a device's name of few characters here: nothing else of it
gets into the program.
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

__all__ = ["EVERYTHING", "PacketFilter", "device", "host", "netns", "port"]

_NAMED = Path("/run/netns")
_NS_GET_NSTYPE, _CLONE_NEWNET = 0xB703, 0x40000000  # ioctl_ns(2)
_LONGEST_NAME = 15  # IFNAMSIZ without its NUL
_MOST = (1 << 32) - 1

# In the program: $s is the sk_buff, $n a network header, $t a transport header.
_NETWORK = ("network_header", "inner_network_header")
_TRANSPORT = ("transport_header", "inner_transport_header")


@dataclass(frozen=True)
class PacketFilter:
    """The packets to watch: those for which all that is given holds.

    Args:
        device: the name of the device that the packet is on.
        netns: the number of the network namespace of that device.
        host: the source or destination of the outer or inner IP header.
        port: the source or destination port of the outer or inner transport header.
    """

    device: str | None = None
    netns: int | None = None
    host: IPv4Address | IPv6Address | None = None
    port: int | None = None

    def __str__(self) -> str:
        said = [f"{name} {value}" for name, value in vars(self).items() if value is not None]
        return ", ".join(said)

    def conditions(self) -> list[str]:
        """Return the conditions on ``$s``, all of which must hold."""
        found = []
        if self.device is not None:
            found.append(f'$s->dev->name == "{device(self.device)}"')
        if self.netns is not None:
            found.append(f"$s->dev->nd_net.net->ns.inum == {int(self.netns)}")
        if self.host is not None:
            found.append(_any(_NETWORK, _has_address(self.host)))
        if self.port is not None:
            found.append(_any(_TRANSPORT, _has_port(self.port)))
        return found


EVERYTHING = PacketFilter()


def device(name: str) -> str:
    """Return the name of a device.

    Raises:
        ValueError: the kernel would not take it, or it has characters that are seldom in a name.
    """
    if not re.fullmatch(rf"[\w.@+~-]{{1,{_LONGEST_NAME}}}", name, re.ASCII):
        raise ValueError(
            f"{name!r} is no name of a device: 1 to {_LONGEST_NAME} of A-Za-z0-9_.@+~-"
        )
    return name


def netns(words: str) -> int:
    """Return the number of a network namespace, given by it, by name (ip netns), or by a path.

    Raises:
        ValueError: there is none of this name.
    """
    if re.fullmatch(r"\d{1,10}", words, re.ASCII):
        if not 0 < int(words) <= _MOST:
            raise ValueError(f"{words} is not the number of a network namespace")
        return int(words)
    path = Path(words) if "/" in words else _NAMED / words
    try:
        with path.open("rb") as file:
            if fcntl.ioctl(file, _NS_GET_NSTYPE) != _CLONE_NEWNET:
                raise ValueError(f"{path} is a namespace, but not of the network")
            return os.fstat(file.fileno()).st_ino
    except OSError as error:
        raise ValueError(f"{path} is no network namespace: {error.strerror}") from None


def host(words: str) -> IPv4Address | IPv6Address:
    """Return an IP address.

    Raises:
        ValueError: it is none.
    """
    found = ip_address(words)
    if isinstance(found, IPv6Address) and found.scope_id:
        raise ValueError(f"{words}: no packet has the scope %{found.scope_id}; use --device")
    return found


def port(words: str) -> int:
    """Return a port.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"\d{1,5}", words, re.ASCII) or not 0 < int(words) < 1 << 16:
        raise ValueError(f"{words!r} is no port from 1 to 65535")
    return int(words)


def _any(headers: tuple[str, ...], condition: str) -> str:
    """Return a condition for either of two headers; one that is not set is no header."""
    every = (
        f"($s->{header} != 0 && $s->{header} != 65535 && "
        f"{condition.format(at=f'($s->head + $s->{header})')})"
        for header in headers
    )
    return f"({' || '.join(every)})"


def _has_address(address: IPv4Address | IPv6Address) -> str:
    """Return what holds for an IP header at ``{at}`` with this source or destination."""
    length, places = (4, (12, 16)) if address.version == 4 else (8, (8, 24))
    data, kind = address.packed, f"uint{8 * length}"
    words = [data[at : at + length] for at in range(0, len(data), length)]
    equal = (
        " && ".join(
            f"*({kind} *)({{at}} + {place + length * number}) == {_number(word)}"
            for number, word in enumerate(words)
        )
        for place in places
    )
    return f"(*(uint8 *){{at}} >> 4) == {address.version} && (({') || ('.join(equal)}))"


def _has_port(number: int) -> str:
    wanted = _number(number.to_bytes(2, "big"))
    return f"(*(uint16 *){{at}} == {wanted} || *(uint16 *)({{at}} + 2) == {wanted})"


def _number(data: bytes) -> str:
    """Return bytes of the network as this host reads them."""
    return hex(int.from_bytes(data, sys.byteorder))
