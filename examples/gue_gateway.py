"""A GUE tunnel in user space: IP packets of a TUN device on one side, UDP on the other.

    python examples/gue_gateway.py 192.0.2.1 192.0.2.2 &
    ip link set gue0 up && ip addr add 10.1.0.1/24 dev gue0
    ip fou add port 6080 gue        # the kernel at 192.0.2.2, as the other end
    ip link add gue0 type ipip local 192.0.2.2 remote 192.0.2.1 \
        encap gue encap-sport auto encap-dport 6080
    ip link set gue0 up && ip addr add 10.1.0.2/24 dev gue0

The kernel hands over TCP in packets of up to 64 KiB. They are segmented here, and many segments go
into one system call (UDP_SEGMENT); what comes back is cut by UDP_GRO's size, and merged again for
the TUN device. Inside may be IPv4 (ipip) and IPv6 (sit). GUE: draft-ietf-intarea-gue.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from gso import Frames
from gso.tun import Tun

UDP_SEGMENT, UDP_GRO = 103, 104  # linux/udp.h
SO_RCVBUFFORCE, BUFFER = 33, 4 << 20  # asm-generic/socket.h
MAX_SEGMENTS, MAX_BYTES = 64, 65_000  # of one call with UDP_SEGMENT
GUE_HLEN, UDP_HLEN, IP_HLEN = 4, 8, {socket.AF_INET: 20, socket.AF_INET6: 40}
HEADERS = {4: bytes([0, socket.IPPROTO_IPIP, 0, 0]), 6: bytes([0, socket.IPPROTO_IPV6, 0, 0])}
ROUND = 64  # system calls before the other side has its turn


def runs(packets: Frames) -> Iterator[Frames]:
    """Yield runs of packets of one IP version and length, the last of which may be shorter."""
    versions = (packets.data[packets.offsets[:-1]] >> 4).tolist()
    lengths, start = packets.lengths.tolist(), 0
    while start < len(lengths):
        size, version, end = lengths[start], versions[start], start + 1
        most = min(len(lengths), start + max(1, min(MAX_SEGMENTS, MAX_BYTES // (GUE_HLEN + size))))
        while end < most and lengths[end - 1] == size >= lengths[end] and versions[end] == version:
            end += 1
        yield packets[start:end]
        start = end


def inner_packet(gue: memoryview) -> memoryview | None:
    """Take the packet out of GUE; None for what is not understood: control, flags, others."""
    if gue and gue[0] >> 6 == 1:  # version 1: the packet itself
        return gue
    size = GUE_HLEN + 4 * (gue[0] & 0x1F) if gue else 0
    known = len(gue) > size and HEADERS.get(gue[size] >> 4) == bytes([gue[0] & 0xE0, *gue[1:4]])
    return gue[size:] if known else None


def inner_packets(data: bytes, size: int) -> Frames:
    """Take the packets out of datagrams of `size` bytes, all of one buffer."""
    view, places = memoryview(data), range(0, len(data), size)
    first = inner_packet(view[:size])
    start = min(size, len(data)) - len(first or b"")
    if first and all(data[i::size].count(data[i]) == len(places) for i in range(start + 1)):
        return Frames.split(data, size, skip=start)  # all have the first one's header
    packets = [inner_packet(view[at : at + size]) for at in places]
    return Frames.from_list([packet for packet in packets if packet is not None])


class Gateway:
    """One end of the tunnel. `counts` says what became of packets."""

    def __init__(self, tun: Tun, udp: socket.socket, remote: str, port: int) -> None:
        self.tun, self.udp, self.counts = tun, udp, Counter[str]()
        self.remote = socket.getaddrinfo(remote, port, udp.family, socket.SOCK_DGRAM)[0][4]
        udp.setsockopt(socket.SOL_UDP, UDP_GRO, 1)
        with suppress(PermissionError):  # net.core.rmem_max is less than TCP has on its way
            udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)

    def outward(self) -> None:
        """Send what the kernel routed into the TUN device."""
        for run in runs(self.tun.segment(*self.tun.read_batch(ROUND, timeout=0))):
            datagrams = run.prefixed(HEADERS[run.data[0] >> 4])
            size = int(datagrams.lengths[0]).to_bytes(2, sys.byteorder)
            options = [(socket.SOL_UDP, UDP_SEGMENT, size)] if len(run) > 1 else []
            try:
                self.udp.sendmsg([datagrams.data.data], options, 0, self.remote)
                self.counts["sent"] += len(run)
            except OSError as error:  # nobody there, no route, or larger than the path's MTU
                self.counts[f"not sent: {error.strerror}"] += len(run)

    def inward(self) -> None:
        """Write into the TUN device what came by UDP."""
        batches = []
        for _ in range(ROUND):
            try:
                data, extra, _, source = self.udp.recvmsg(65536, 64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError as error:  # of something sent before
                self.counts[f"not sent: {error.strerror}"] += 1
                continue
            if source[0] != self.remote[0]:
                self.counts["from others"] += 1
                continue
            said = (int.from_bytes(value, sys.byteorder) for *_, value in extra)
            size = next(said, len(data) or 1)
            batches.append(inner_packets(data, size))
            self.counts["not understood"] += -(-len(data) // size) - len(batches[-1])
        packets = Frames.concat(batches)
        try:
            self.tun.write_batch(packets)
            self.counts["received"] += len(packets)
        except OSError:  # the device is down
            self.counts["not written"] += len(packets)

    def run(self, until: socket.socket | None = None) -> None:
        """Work for ever, or exit once `until` can be read."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.tun, selectors.EVENT_READ, self.outward)
            selector.register(self.udp, selectors.EVENT_READ, self.inward)
            if until:
                selector.register(until, selectors.EVENT_READ, sys.exit)
            while True:
                for key, _ in selector.select():
                    key.data()


def main() -> None:
    """Run one end."""
    parser = argparse.ArgumentParser(description="A GUE tunnel in user space.")
    parser.add_argument("local", help="this host's address")
    parser.add_argument("remote", help="the other end's address")
    parser.add_argument("--port", type=int, default=6080, help="UDP port of both ends")
    parser.add_argument("--tun", default="gue0", help="name of the TUN device")
    parser.add_argument("--mtu", type=int, default=1500, help="MTU of the path between them")
    asked = parser.parse_args()
    family = socket.AF_INET6 if ":" in asked.local else socket.AF_INET
    mtu = asked.mtu - IP_HLEN[family] - UDP_HLEN - GUE_HLEN
    with Tun(asked.tun, mtu=mtu) as tun, socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.bind((asked.local, asked.port))
        print(f"{tun.name}: MTU {mtu}, {tun.offloads!r}", flush=True)
        gateway = Gateway(tun, udp, asked.remote, asked.port)
        try:
            gateway.run()
        finally:
            print(dict(gateway.counts))


if __name__ == "__main__":
    main()
