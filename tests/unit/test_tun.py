"""TUN and TAP devices of this host's kernel, in network namespaces of their own."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import fcntl
import os
import platform
import socket
import threading

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

import gso
from gso.tun import Offload, Tun
from namespaces import (
    ip,
    need_tun,
    own_namespace,
    quiet_ipv6,
    wait_until_local,
    without_ipv6,
)

ADDRESSES = {4: ("10.9.0.1", "10.9.0.2"), 6: ("fd09::1", "fd09::2")}
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
UDP_SEGMENT, UDP_GRO = 103, 104

pytestmark = pytest.mark.usefixtures("namespace")


@pytest.fixture
def namespace():
    need_tun()
    with own_namespace() as here:
        yield here


def opened(version=4, **options):
    tun = Tun(**options)
    if version == 4:
        without_ipv6(tun.name)
        ip(f"link set {tun.name} up", f"addr add 10.9.0.1/24 dev {tun.name}")
    else:
        quiet_ipv6(tun.name)
        ip(f"link set {tun.name} up")
        ip(f"addr add fd09::1/64 dev {tun.name} nodad")
        wait_until_local("fd09::1")
    return tun


def read_flow(tun, limit=64):
    """Read until there is TCP or UDP: the kernel also tells which groups it listens to."""
    while True:
        frames, headers = tun.read_batch(limit, timeout=10)
        assert len(frames), "nothing came"
        flow = gso.parse_batch(frames, link_type=tun.link_type)["l4"] != 0
        if flow.any():
            return frames[flow], headers[flow]


def datagrams(version, sizes, source=None):
    """UDP packets from the peer to this host, whole, with all checksums."""
    here, there = ADDRESSES[version]
    made = []
    for i, size in enumerate(sizes):
        head = IPv6(src=there, dst=here) if version == 6 else IP(src=there, dst=here, id=7 + i)
        made.append(bytes(head / UDP(sport=source or 700, dport=900) / bytes([i] * size)))
    return made


def bound(version, port=900):
    sock = socket.socket(FAMILIES[version], socket.SOCK_DGRAM)
    sock.bind((ADDRESSES[version][0], port))
    sock.settimeout(10)
    return sock


def checksums_are_right(frames, **options):
    return not any(len(gso.validate(frame, **options)) for frame in frames)


class TestOpening:
    def test_what_was_asked_for_and_what_came_are_told(self):
        with Tun("mine", mtu=1280) as tun:
            assert (tun.name, tun.mtu, tun.link_type) == ("mine", 1280, "raw")
            assert tun.asked & Offload.UDP_TUNNEL_GSO
            assert tun.offloads & Offload.CSUM
            assert tun.offloads & ~tun.asked == 0
            long = bool(tun.offloads & Offload.UDP_TUNNEL_GSO)
            assert tun.header_size == (24 if long else 10)
            tun.mtu = 9000
            assert tun.mtu == 9000
        assert tun.fileno() == -1
        tun.close()

    def test_the_kernel_gets_less_step_by_step(self, monkeypatch):
        for known in (0x1FF & ~0x180, 0x0F, 0x01, 0x00):
            asked = []

            def ioctl(file, request, argument, known=known, asked=asked):
                if request == 0x400454D0:
                    asked.append(argument)
                    if argument & ~known:
                        raise OSError(errno.EINVAL, "Invalid argument")
                return fcntl.ioctl(file, request, argument)

            monkeypatch.setattr("gso.tun.fcntl", type("F", (), {"ioctl": staticmethod(ioctl)}))
            with Tun() as tun:
                assert int(tun.offloads) == known & ~int(Offload.UFO)
                assert tun.header_size == 10
                assert asked[0] == 0x1EF
                assert asked == sorted(asked, reverse=True)

    def test_no_offloads(self):
        with Tun(offloads=False) as tun:
            assert tun.offloads == Offload.NONE
        with Tun(offloads=Offload.CSUM | Offload.TSO4, tap=True) as tun:
            assert tun.offloads == Offload.CSUM | Offload.TSO4
            assert tun.name == "tap0"

    def test_errors_say_what_is_missing(self, monkeypatch):
        with Tun("one"):
            with pytest.raises(OSError, match="one: another program has the device open") as busy:
                Tun("one")
            assert busy.value.errno == errno.EBUSY
            with pytest.raises(OSError, match="of another kind"):
                Tun("one", tap=True)
        with pytest.raises(ValueError, match="at most 15 bytes"):
            Tun("x" * 16)
        with pytest.raises(OSError, match="MTU of tun0 cannot be 7"):
            Tun(mtu=7)
        monkeypatch.setattr("gso.tun._DEVICE", "/dev/net/nothing")
        with pytest.raises(FileNotFoundError, match="modprobe tun"):
            Tun()

    def test_without_the_capability(self):
        done = {}

        def run():
            # The capabilities of a thread are its own
            os_setresuid(65534)
            try:
                Tun()
            except OSError as error:
                done["said"] = str(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert "CAP_NET_ADMIN" in done["said"] or "may not be opened" in done["said"]

    def test_queues(self):
        with Tun(multi_queue=True) as one, one.queue() as two:
            assert one.name == two.name
            assert one.fileno() != two.fileno()
        with Tun() as one, pytest.raises(ValueError, match="multi_queue"):
            one.queue()


def os_setresuid(user):
    """Change the user of this thread alone: the C library would change all threads."""
    number = {"x86_64": 117, "aarch64": 147}.get(platform.machine())
    if number is None:
        pytest.skip("setresuid has another number on this machine")
    assert ctypes.CDLL(None).syscall(number, user, user, user) == 0


class TestReading:
    @pytest.mark.parametrize("version", [4, 6])
    def test_tcp_comes_in_super_packets(self, version):
        with opened(version) as tun:
            syn, ack_of = connect(tun, version)
            with syn:
                sent = os.urandom(200_000)
                thread = threading.Thread(target=send_all, args=(syn, sent))
                thread.start()
                got, largest = receive_stream(tun, version, ack_of, len(sent))
                thread.join()
            assert got == sent
            assert largest > 2000  # an MTU is 1500; the kernel paces what it sends

    @pytest.mark.parametrize("version", [4, 6])
    def test_datagrams_come_in_super_packets(self, version):
        there = ADDRESSES[version][1]
        with opened(version) as tun, bound(version) as sock:
            if not tun.offloads & Offload.USO4:
                pytest.skip("this kernel has no USO for TUN devices (Linux 6.2)")
            sock.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 1000)
            payload = os.urandom(5500)
            sock.sendto(payload, (there, 700))
            frames, headers = read_flow(tun)
            assert len(frames) == len(headers) == 1
            assert headers["gso_size"][0] == 1000
            wire = tun.segment(frames, headers)
            assert len(wire) == 6
            assert checksums_are_right(wire, link_type="raw")
            start = gso.parse(wire[0], link_type="raw").payload
            assert b"".join(bytes(one[start:]) for one in wire) == payload

    def test_no_offloads_no_super_packets(self):
        with opened(offloads=False) as tun, bound(4) as sock:
            sock.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 1000)
            sock.sendto(bytes(3000), (ADDRESSES[4][1], 700))
            frames, headers = tun.read_batch(timeout=10)
            while len(frames) < 3:
                more, rest = tun.read_batch(timeout=10)
                assert len(more)
                frames, headers = gso.Frames.concat([frames, more]), np.append(headers, rest)
            assert frames.lengths.tolist() == [1028] * 3
            assert not headers["gso_size"].any()
            assert checksums_are_right(frames, link_type="raw")

    def test_limit_and_timeout(self):
        with opened() as tun, bound(4) as sock:
            frames, headers = tun.read_batch(timeout=0)
            assert len(frames) == len(headers) == 0
            assert len(tun.read_batch(timeout=0.01)[0]) == 0
            for i in range(5):
                sock.sendto(bytes([i]), (ADDRESSES[4][1], 700))
            sizes = [len(tun.read_batch(2, timeout=10)[0]) for _ in range(3)]
            assert sizes == [2, 2, 1]
            with pytest.raises(ValueError, match="limit is 1 or more, not 0"):
                tun.read_batch(0)

    def test_in_an_event_loop(self):
        async def run(tun, sock):
            got = []
            loop = asyncio.get_running_loop()
            loop.call_later(0.05, sock.sendto, b"first", (ADDRESSES[4][1], 700))
            async for frames, _ in tun:
                got += [bytes(frame[28:]) for frame in frames]
                if got == [b"first", b"second"]:
                    break
                sock.sendto(b"second", (ADDRESSES[4][1], 700))
            return got

        with opened() as tun, bound(4) as sock:
            assert asyncio.run(asyncio.wait_for(run(tun, sock), 20)) == [b"first", b"second"]

    def test_a_task_that_waits_can_be_cancelled(self):
        async def run(tun):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(tun.read_batch_async(), 0.05)
            assert not asyncio.get_running_loop().remove_reader(tun.fileno())

        with opened() as tun:
            asyncio.run(run(tun))


class TestWriting:
    @pytest.mark.parametrize("version", [4, 6])
    @pytest.mark.parametrize("merge", [True, False])
    def test_datagrams_arrive_in_order(self, version, merge):
        sizes = [1000] * 9 + [400] + [1000] * 3
        frames = datagrams(version, sizes)
        with opened(version) as tun, bound(version) as sock:
            written = tun.write_batch(frames, merge=merge)
            got = [sock.recv(2000) for _ in sizes]
        if merge and tun.offloads & Offload.USO4:
            assert written == 2
        else:
            assert written == len(sizes)
        assert got == [frame[-size:] for frame, size in zip(frames, sizes, strict=True)]

    def test_super_packets_reach_a_socket_that_wants_them(self):
        with opened() as tun, bound(4) as sock:
            if not tun.offloads & Offload.USO4:
                pytest.skip("this kernel has no USO for TUN devices (Linux 6.2)")
            sock.setsockopt(socket.SOL_UDP, UDP_GRO, 1)
            tun.write_batch(datagrams(4, [500] * 8))
            data, extra, *_ = sock.recvmsg(65536, 64)
            assert len(data) == 4000
            assert extra[0][:2] == (socket.SOL_UDP, UDP_GRO)

    def test_what_was_read_can_be_written_to_another(self):
        with opened() as tun, bound(4) as sock:
            sock.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 1000)
            sock.sendto(bytes(range(250)) * 12, (ADDRESSES[4][1], 700))
            frames, headers = tun.read_batch(timeout=10)
            ip("addr del 10.9.0.1/24 dev tun0")
            with Tun("back") as back:
                without_ipv6("back")
                ip("link set back up", "addr add 10.9.0.2/24 dev back")
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
                    there.bind(("10.9.0.2", 700))
                    there.settimeout(10)
                    assert back.write_batch(frames, headers) == len(frames)
                    got = b"".join(there.recv(2000) for _ in range(3))
            assert got == bytes(range(250)) * 12

    def test_tunnels_that_no_header_describes_go_one_by_one(self):
        inner = datagrams(4, [900] * 3) + datagrams(4, [800] * 3, source=701)
        ethernet = [bytes(12) + b"\x08\x00" + frame for frame in inner]
        ends = {"source": "10.9.0.2", "destination": "10.9.0.1", "ip_id": np.arange(6), "link": b""}
        with opened() as tun:
            for kind in ("gue", "ipip"):
                outer = gso.encapsulate(inner, kind, link_type="raw", **ends)
                assert len(gso.coalesce(outer, link_type="raw")) == 2
                assert tun.write_batch(outer) == 6
            outer = gso.encapsulate(ethernet, "vxlan", **ends)
            assert tun.write_batch(outer) == 6

    @pytest.mark.parametrize("checksum", [False, True])
    @pytest.mark.parametrize("tap", [False, True])
    def test_super_packets_in_a_tunnel_device(self, checksum, tap):
        word = "udpcsum" if checksum else "noudpcsum"
        here, there = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
        with opened(tap=tap) as tun:
            if tap:
                ip(
                    f"link set {tun.name} address 02:00:00:00:00:01",
                    f"neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev {tun.name}",
                )
            if tun.header_size != 24:
                pytest.skip("this kernel has no UDP tunnels in virtio headers (Linux 6.17)")
            ip(
                "link add v0 address 02:00:00:00:00:01 mtu 1400 type vxlan id 7 local 10.9.0.1 "
                f"remote 10.9.0.2 dstport 4789 dev {tun.name} {word} udp6zerocsumrx",
            )
            without_ipv6("v0")
            ip(
                "link set v0 up",
                "addr add 10.8.0.1/24 dev v0",
                "neigh add 10.8.0.2 lladdr 02:00:00:00:00:02 dev v0",
            )
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind(("10.8.0.1", 900))
                sock.settimeout(10)
                sock.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 1000)
                sent = os.urandom(4500)
                sock.sendto(sent, ("10.8.0.2", 700))
                frames, headers = read_flow(tun)
                assert len(frames) == 1
                assert headers["gso_type"][0] & gso.VirtioNetGso.UDP_TUNNEL_IPV4
                wire = tun.segment(frames, headers)
                assert len(wire) == 5
                assert checksums_are_right(wire, link_type=tun.link_type)
                plain = gso.decapsulate(wire, link_type=tun.link_type)
                assert b"".join(bytes(one[42:]) for one in plain) == sent
                answers = [answer_datagram(one, i) for i, one in enumerate(plain)]
                outer = gso.encapsulate(
                    answers,
                    "vxlan",
                    source="10.9.0.2",
                    destination="10.9.0.1",
                    key=7,
                    checksum=checksum,
                    ip_id=np.arange(5),
                    link=here + there + b"\x08\x00" if tap else b"",
                )
                # The kernel takes them from TAP devices only
                assert tun.write_batch(outer) == (1 if tap else 5)
                assert b"".join(sock.recv(2000) for _ in range(5)) == sent

    def test_headers_of_another_shape(self):
        frames = datagrams(4, [10, 10])
        with opened() as tun:
            for headers in (np.zeros(1, gso.VNET_DTYPE), np.zeros(2), np.zeros((2, 1), "u1")):
                with pytest.raises(ValueError, match=r"VNET_DTYPE and shape \(2,\)"):
                    tun.write_batch(frames, headers)

    def test_a_packet_that_the_kernel_refuses_is_numbered(self):
        with opened() as tun:
            with pytest.raises(OSError, match=r"packet 1 \(3 bytes\)") as caught:
                tun.write_batch([datagrams(4, [10])[0], b"\x10bc"], merge=False)
            assert caught.value.errno == errno.EINVAL

    def test_closed(self):
        tun = Tun()
        tun.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            tun.write_batch(datagrams(4, [10]))
        with pytest.raises((OSError, ValueError)):
            tun.read_batch(timeout=0)


def answer_datagram(frame, number):
    """The same payload on its way back, with Ethernet, IP and UDP headers of its own."""
    old = Ether(bytes(frame))
    head = Ether(src=old.dst, dst=old.src) / IP(src=old[IP].dst, dst=old[IP].src, id=number)
    return bytes(head / UDP(sport=700, dport=900) / old[UDP].payload)


# A TCP connection whose other end is this test: just enough of one to read what is sent.


def send_all(sock, data):
    sock.sendall(data)


def connect(tun, version):
    there = ADDRESSES[version][1]
    sock = socket.socket(FAMILIES[version], socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.connect_ex((there, 80))
    syn = read_packet(tun)
    tun.write_batch([answer(syn, version, "SA", acked(syn) + 1)])
    sock.setblocking(True)
    read_packet(tun)  # its ACK
    return sock, acked(syn) + 1


def read_packet(tun):
    frames, headers = read_flow(tun, 1)
    return dissect(tun.segment(frames, headers)[0])


def dissect(frame):
    return (IP if frame[0] >> 4 == 4 else IPv6)(bytes(frame))


def acked(packet):
    return packet[TCP].seq


def answer(packet, version, flags, ack):
    head = (IP if version == 4 else IPv6)(src=packet.dst, dst=packet.src)
    tcp = packet[TCP]
    options = [("MSS", 1400), ("WScale", 7)] if "S" in flags else []
    seq = 1000 if "S" in flags else 1001
    return bytes(
        head
        / TCP(
            sport=tcp.dport,
            dport=tcp.sport,
            flags=flags,
            seq=seq,
            ack=ack % 2**32,
            window=60000,
            options=options,
        )
    )


def receive_stream(tun, version, start, total):
    """Acknowledge what comes until all is here; returns it, and the size of the largest packet."""
    parts, largest, expected = [], 0, start
    while expected - start < total:
        frames, headers = read_flow(tun)
        largest = max(largest, int(frames.lengths.max()))
        wire = tun.segment(frames, headers)
        assert checksums_are_right(wire[:3], link_type="raw")
        for frame in wire:
            layout = gso.parse(frame, link_type="raw")
            seq = int.from_bytes(frame[layout.transport_header + 4 : layout.transport_header + 8])
            if seq == expected % 2**32 and len(frame) > layout.payload:
                parts.append(bytes(frame[layout.payload :]))
                expected += len(parts[-1])
                last = frame
        if parts:
            tun.write_batch([answer(dissect(last), version, "A", expected)])
    return b"".join(parts), largest
