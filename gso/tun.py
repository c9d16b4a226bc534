"""TUN and TAP devices that take and give super-packets.

    from gso.tun import Tun

    with Tun("tun0", mtu=1400) as tun:           # then: ip addr add, ip link set tun0 up
        frames, headers = tun.read_batch()       # packets of up to 64 KiB
        wire = tun.segment(frames, headers)      # what would go on a wire
        tun.write_batch(answers)                 # merged into super-packets

It needs CAP_NET_ADMIN in the network namespace, or a device made for the user beforehand
(``ip tuntap add mode tun user NAME``).

Kernel: drivers/net/tun.c (tun_set_iff, set_offload, tun_put_user, tun_get_user).
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from enum import IntFlag
from typing import TYPE_CHECKING, Any, NoReturn

from gso.vnet import VnetDevice

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Offload", "Tun"]

_DEVICE = "/dev/net/tun"
_TUNSETIFF, _TUNSETOFFLOAD, _TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
_SIOCGIFMTU, _SIOCSIFMTU = 0x8921, 0x8922
_IFF_TUN, _IFF_TAP, _IFF_MULTI_QUEUE = 0x0001, 0x0002, 0x0100
_IFF_NO_PI, _IFF_VNET_HDR = 0x1000, 0x4000
_IFREQ = struct.Struct("16sH22x")
_IFREQ_NUMBER = struct.Struct("16si20x")
_IFNAMSIZ = 16
_SHORT_HEADER, _LONG_HEADER = 10, 24


class Offload(IntFlag):
    """The work that the reader of a device takes over (TUN_F_*, linux/if_tun.h)."""

    NONE = 0
    CSUM = 0x01
    """Packets without a checksum. All others need this one."""
    TSO4 = 0x02
    TSO6 = 0x04
    TSO_ECN = 0x08
    UFO = 0x10
    """UDP datagrams that are to be fragmented. Linux 4.14 and later makes none."""
    USO4 = 0x20
    """UDP datagrams of one flow in one packet. Linux 6.2 and later; both or neither."""
    USO6 = 0x40
    UDP_TUNNEL_GSO = 0x80
    """Super-packets inside of tunnels in UDP. Linux 6.17 and later."""
    UDP_TUNNEL_GSO_CSUM = 0x100
    """Such with an outer UDP checksum."""


_TSO = Offload.CSUM | Offload.TSO4 | Offload.TSO6 | Offload.TSO_ECN
_USO = Offload.USO4 | Offload.USO6
_UDP_TUNNELS = Offload.UDP_TUNNEL_GSO | Offload.UDP_TUNNEL_GSO_CSUM
_ALL = _TSO | _USO | _UDP_TUNNELS


class Tun(VnetDevice):
    """A TUN device (IP packets), or a TAP device (Ethernet frames), with virtio headers.

    Args:
        name: of the device, which is made if there is none; ``"tun%d"`` has the kernel choose the
            number. None: ``"tun%d"`` or ``"tap%d"``.
        tap: a TAP device.
        mtu: bytes of an IP packet; None leaves it as it is (1500 in a new device).
        offloads: True for all that the kernel knows, False for none, or some :class:`Offload`. What
            it does not know is left out step by step: tunnels, datagrams, TCP, checksums.
        multi_queue: the device may have several queues, see :meth:`queue`.

    Raises OSError that says what is missing: the module, the capability, or a free name.

    Attributes:
        name: of the device.
        asked: the :class:`Offload` asked for.
        offloads: the :class:`Offload` that the kernel agreed to.
        multi_queue: as asked for.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        tap: bool = False,
        mtu: int | None = None,
        offloads: bool | Offload = True,
        multi_queue: bool = False,
    ) -> None:
        super().__init__()
        self.link_type = "ethernet" if tap else "raw"
        self.multi_queue = multi_queue
        self.asked = _as_offload(offloads)
        name = _checked_name(name or ("tap%d" if tap else "tun%d"))
        self._file = _open()
        try:
            self.name = self._attach(name, tap)
            self.offloads = self._agree()
            self._uso = bool(self.offloads & _USO)
            if mtu is not None:
                self.mtu = mtu
        except BaseException:
            self.close()
            raise

    def _attach(self, name: str, tap: bool) -> str:
        """Make the device, or a queue of it; returns its name."""
        flags = (_IFF_TAP if tap else _IFF_TUN) | _IFF_NO_PI | _IFF_VNET_HDR
        flags |= _IFF_MULTI_QUEUE if self.multi_queue else 0
        try:
            made = fcntl.ioctl(self._file, _TUNSETIFF, _IFREQ.pack(name.encode(), flags))
        except OSError as error:
            _explain(error, name)
        return str(made[:_IFNAMSIZ].split(b"\0", 1)[0].decode())

    def _agree(self) -> Offload:
        """Ask for less and less until the kernel agrees; returns what it agreed to."""
        for offloads in _steps(self.asked):
            self.header_size = _LONG_HEADER if offloads & _UDP_TUNNELS else _SHORT_HEADER
            try:
                size = struct.pack("i", self.header_size)
                fcntl.ioctl(self._file, _TUNSETVNETHDRSZ, size)
                fcntl.ioctl(self._file, _TUNSETOFFLOAD, int(offloads))
            except OSError as error:
                if error.errno != errno.EINVAL or not offloads:
                    raise
            else:
                return offloads
        raise AssertionError("the last step asks for nothing")

    def queue(self) -> Self:
        """Open one more queue of this device; the kernel spreads flows over all of them.

        Raises ValueError if the device was opened without `multi_queue`.
        """
        if not self.multi_queue:
            raise ValueError(f"{self.name} was opened without multi_queue")
        tap = self.link_type == "ethernet"
        return type(self)(self.name, tap=tap, offloads=self.asked, multi_queue=True)

    @property
    def mtu(self) -> int:
        """Bytes of the largest IP packet that is no super-packet; may be set."""
        with _any_socket() as any_socket:
            request = _IFREQ_NUMBER.pack(self.name.encode(), 0)
            return int(_IFREQ_NUMBER.unpack(fcntl.ioctl(any_socket, _SIOCGIFMTU, request))[1])

    @mtu.setter
    def mtu(self, mtu: int) -> None:
        with _any_socket() as any_socket:
            try:
                fcntl.ioctl(any_socket, _SIOCSIFMTU, _IFREQ_NUMBER.pack(self.name.encode(), mtu))
            except OSError as error:
                raise OSError(
                    error.errno, f"the MTU of {self.name} cannot be {mtu}: {error.strerror}"
                ) from None

    def fileno(self) -> int:
        """Return the file descriptor, -1 once it is closed."""
        return self._file

    def close(self) -> None:
        """Close this queue; with its last one, a device that is not persistent is gone."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)

    def __del__(self) -> None:
        if getattr(self, "_file", -1) >= 0:
            self.close()

    def __repr__(self) -> str:
        return f"<gso.tun.Tun: {self.name}, {self.offloads!r}>"

    def _receive(self, header: memoryview, room: memoryview) -> int:
        size = os.readv(self._file, [header, room])
        if size < len(header):
            raise OSError(errno.EIO, f"{size} bytes, but a virtio header has {len(header)}")
        return size - len(header)


def _any_socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def _as_offload(offloads: bool | Offload) -> Offload:
    if isinstance(offloads, bool):
        return _ALL if offloads else Offload.NONE
    return Offload(offloads)


def _steps(asked: Offload) -> Iterator[Offload]:
    """Yield what to ask for: all, then less by one group each time, and nothing at last."""
    yield asked
    before = asked
    for dropped in (_UDP_TUNNELS, _USO, _TSO & ~Offload.CSUM, _ALL | Offload.UFO):
        left = before & ~dropped
        if left != before:
            yield left
        before = left


def _checked_name(name: str) -> str:
    if len(name.encode()) >= _IFNAMSIZ or "\0" in name:
        raise ValueError(f"a device's name has at most {_IFNAMSIZ - 1} bytes: {name!r}")
    return name


def _open() -> int:
    try:
        return os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            said = "this kernel has no TUN devices: modprobe tun (CONFIG_TUN)"
        elif error.errno in (errno.EACCES, errno.EPERM):
            said = "the file may not be opened by this user, or in this container"
        else:
            said = str(error.strerror)
        raise OSError(error.errno, said, _DEVICE) from None


def _explain(error: OSError, name: str) -> NoReturn:
    """Raise the error of TUNSETIFF with what it means."""
    meanings: dict[Any, str] = {
        errno.EPERM: "CAP_NET_ADMIN in this network namespace is missing, "
        "or the device was made for another user",
        errno.EBUSY: "another program has the device open, and it was made without multi_queue",
        errno.EINVAL: "there is a device of this name that is of another kind (tun, tap, "
        "multi_queue), or the name is not allowed",
        errno.E2BIG: "the device has all the queues that it can have",
    }
    said = meanings.get(error.errno, error.strerror)
    raise OSError(error.errno, f"{name}: {said}") from None
