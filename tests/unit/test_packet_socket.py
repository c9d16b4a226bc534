"""Packet sockets with virtio headers, on both ends of a veth pair of this host's kernel."""

from __future__ import annotations

import errno
import os
import socket

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

import gso
from gso.packet import PacketSocket
from namespaces import ip, own_namespace, without_ipv6

UDP_SEGMENT = 103


@pytest.fixture(autouse=True)
def veth():
    with own_namespace():
        ip("link add left type veth peer name right")
        for device in ("left", "right"):
            without_ipv6(device)
        ip("link set left up", "link set right up", "addr add 10.9.0.1/24 dev left")
        ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev left")
        yield


def both():
    return PacketSocket("left"), PacketSocket("right")


@pytest.mark.parametrize("network", [IP(id=5), IPv6()])
def test_super_packets_go_through_as_they_are(network):
    big = bytes(Ether() / network / TCP(flags="A", seq=9) / os.urandom(30_000))
    wire = gso.segment(big, 1400)
    left, right = both()
    with left, right:
        assert left.write_batch(wire) == 1
        frames, headers = right.read_batch(timeout=10)
        assert len(frames) == 1
        assert headers["gso_size"].tolist() == [1400]
        assert right.segment(frames, headers) == wire
        assert right.write_batch(frames, headers) == 1
        again, headers_again = left.read_batch(timeout=10)
        assert (again, headers_again.tolist()) == (frames, headers.tolist())


def test_own_packets_are_seen_where_asked_for():
    frame = bytes(Ether() / IP() / UDP() / b"x")
    with PacketSocket("left", outgoing=True) as one, PacketSocket("left") as two:
        with PacketSocket("left") as sender:
            sender.write_batch([frame])
        assert one.read_batch(timeout=10)[0].to_list() == [frame]
        assert len(two.read_batch(timeout=0.05)[0]) == 0


def test_one_protocol_only():
    with PacketSocket("right", protocol=0x86DD) as six, PacketSocket("left") as sender:
        frames = [bytes(Ether() / IP() / UDP() / b"x"), bytes(Ether() / IPv6() / UDP() / b"y")]
        sender.write_batch(frames)
        assert six.read_batch(timeout=10)[0].to_list() == frames[1:]


@pytest.mark.parametrize("kind", ["802.1Q", "802.1ad"])
def test_a_tag_is_put_back(kind):
    ip(f"link add link left name tagged type vlan proto {kind} id 5")
    without_ipv6("tagged")
    ip("link set tagged up", "addr add 10.7.0.1/24 dev tagged")
    ip("neigh add 10.7.0.2 lladdr 02:00:00:00:00:02 dev tagged")
    sent = os.urandom(3300)
    with PacketSocket("right") as right, socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("10.7.0.1", 700))
        sock.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 1000)
        sock.sendto(sent, ("10.7.0.2", 900))
        frames, headers = right.read_batch(timeout=10)
        wire = right.segment(frames, headers)
    assert len(frames) == 1
    assert frames[0][12:16] == (b"\x81\0\0\5" if kind == "802.1Q" else b"\x88\xa8\0\5")
    assert [len(one) for one in wire] == [1046] * 3 + [346]
    assert b"".join(bytes(one[46:]) for one in wire) == sent
    assert not any(len(gso.validate(one)) for one in wire)


@pytest.mark.parametrize("checksum", ["udpcsum", "noudpcsum"])
def test_super_packets_in_a_tunnel_are_cut(checksum):
    """Their headers say nothing of the tunnel."""
    ip(
        "link add v0 mtu 1400 type vxlan id 7 local 10.9.0.1 remote 10.9.0.2 dstport 4789 "
        f"dev left {checksum}"
    )
    without_ipv6("v0")
    ip("link set v0 up", "addr add 10.8.0.1/24 dev v0")
    ip("neigh add 10.8.0.2 lladdr 02:00:00:00:00:02 dev v0")
    sent = os.urandom(4500)
    with PacketSocket("right") as right, socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("10.8.0.1", 700))
        sock.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 1000)
        sock.sendto(b"alone", ("10.8.0.2", 900))
        sock.sendto(sent, ("10.8.0.2", 900))
        frames, headers = right.read_batch(timeout=10)
        while len(frames) < 2:
            more, rest = right.read_batch(timeout=10)
            frames, headers = gso.Frames.concat([frames, more]), np.append(headers, rest)
        wire = right.segment(frames, headers)
    assert headers["gso_size"].tolist() == [0, 1000]
    assert wire.parent.tolist() == [0, 1, 1, 1, 1, 1]
    assert not any(len(gso.validate(one)) for one in wire)
    plain = gso.decapsulate(wire)
    assert bytes(plain[0][42:]) == b"alone"
    assert b"".join(bytes(one[42:]) for one in plain[1:]) == sent


def test_a_lost_super_packet_is_told(monkeypatch):
    """As Linux 6.1 loses datagrams in super-packets."""

    class Lossy:
        def recvmsg_into(self, *_):
            raise OSError(errno.EINVAL, "Invalid argument")

    with PacketSocket("left") as left:
        monkeypatch.setattr(left, "_socket", Lossy())
        with pytest.raises(OSError, match="left: a super-packet is lost") as told:
            left.read_batch(timeout=0)
        assert told.value.errno == errno.EINVAL
        monkeypatch.undo()


def test_tagged_frames_are_written():
    big = bytes(Ether() / Dot1Q(vlan=7) / IP() / TCP(flags="A") / bytes(5000))
    wire = gso.segment(big, 1000)
    left, right = both()
    with left, right:
        left.write_batch(wire)
        frames, headers = right.read_batch(timeout=10)
        assert right.segment(frames, headers) == wire


def test_errors_say_what_is_wrong():
    with pytest.raises(OSError, match="nothing0: No such device"):
        PacketSocket("nothing0")
    with PacketSocket("left") as left:
        assert repr(left) == "<gso.packet.PacketSocket: left>"
        with pytest.raises(OSError, match=r"packet 0 \(9014 bytes\): Message too long"):
            left.write_batch([bytes(Ether()) + bytes(9000)])
        ip("link set left down")
        with pytest.raises(OSError, match="down"):
            left.read_batch(timeout=10)
    assert left.fileno() == -1


def test_what_was_read_before_an_error_is_handed_out_first():
    frame = bytes(Ether() / IP() / UDP() / b"x")
    left, right = both()
    with left, right:
        left.write_batch([frame])
        right._wait(1, None)
        ip("link set right down")
        said = []
        for _ in range(2):
            try:
                said.append(right.read_batch(timeout=10)[0].to_list())
            except OSError as error:
                said.append(type(error).__name__)
        assert sorted(map(str, said)) == sorted([str([frame]), "OSError"])


def test_many_packets_of_many_sizes():
    rng = np.random.default_rng(5)
    frames = [
        bytes(Ether() / IP(id=i) / UDP() / bytes(int(n)))
        for i, n in enumerate(rng.integers(0, 1400, 60))
    ]
    left, right = both()
    with left, right:
        left.write_batch(frames, merge=False)
        got = []
        while len(got) < len(frames):
            got += right.read_batch(16, timeout=10)[0].to_list()
        # Ethernet pads nothing here
        assert got == frames
