"""The example's GUE endpoint: two of them face each other across a veth pair of this host."""

from __future__ import annotations

import contextlib
import os
import socket
import threading

import numpy as np
import pytest

import gso
from gso.packet import PacketSocket
from gso.tun import Tun
from namespaces import ip, need_tun, own_namespace, quiet_ipv6, within, without_ipv6
from programs import example

gue_gateway = example("gue_gateway")
OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
INNER = {4: ("10.1.0.1", "10.1.0.2"), 6: ("fd01::1", "fd01::2")}
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
SIZE = 3_000_000


def run(gateway, until):
    with contextlib.suppress(SystemExit):
        gateway.run(until)


@contextlib.contextmanager
def end(number, namespace, outer):
    """Run one end of the tunnel in a thread; the block gets its gateway."""
    own, other = OUTER[outer][number], OUTER[outer][1 - number]
    room = gue_gateway.GUE_HLEN + gue_gateway.UDP_HLEN + gue_gateway.IP_HLEN[FAMILIES[outer]]
    stop, stopped = socket.socketpair()
    with (
        within(namespace),
        Tun("gue0", mtu=1500 - room) as tun,
        socket.socket(FAMILIES[outer], socket.SOCK_DGRAM) as udp,
        stop,
        stopped,
    ):
        quiet_ipv6("gue0")
        ip("link set gue0 up", f"addr add {INNER[4][number]}/24 dev gue0")
        ip(f"addr add {INNER[6][number]}/64 dev gue0 nodad")
        udp.bind((own, 6080))
        gateway = gue_gateway.Gateway(tun, udp, other, 6080)
        thread = threading.Thread(target=run, args=(gateway, stopped))
        thread.start()
        try:
            yield gateway
        finally:
            stop.send(b".")
            thread.join()


@contextlib.contextmanager
def tunnel(outer):
    need_tun()
    with own_namespace() as a, own_namespace() as b:
        ip(f"link add right type veth peer name left netns /proc/{os.getpid()}/fd/{a}")
        for namespace, device, number in ((a, "left", 0), (b, "right", 1)):
            with within(namespace):
                if outer == 4:
                    without_ipv6(device)
                ip(f"link set {device} up", address(outer, number, device))
        with end(0, a, outer) as one, end(1, b, outer) as two:
            yield a, one, two


def address(outer, number, device):
    mask = "/24" if outer == 4 else "/64"
    return f"addr add {OUTER[outer][number]}{mask} dev {device} nodad"


def pour(sock, data, got):
    """Send, and receive as much at the same time."""
    sender = threading.Thread(target=sock.sendall, args=(data,))
    sender.start()
    while len(got) < len(data):
        part = sock.recv(1 << 20)
        if not part:
            break
        got += part
    sender.join()


@pytest.mark.parametrize(("outer", "inner"), [(4, 4), (4, 6), (6, 4), (6, 6)])
def test_streams_go_both_ways(outer, inner):
    sent, got = [os.urandom(SIZE), os.urandom(SIZE)], [bytearray(), bytearray()]
    with tunnel(outer) as (a, one, two), contextlib.ExitStack() as stack:
        server = stack.enter_context(
            socket.create_server((INNER[inner][1], 80), family=FAMILIES[inner])
        )
        server.settimeout(30)
        with within(a):
            wire = stack.enter_context(PacketSocket("left", outgoing=True))
            client = stack.enter_context(socket.socket(FAMILIES[inner]))
            client.settimeout(30)
            client.connect((INNER[inner][1], 80))
        served = stack.enter_context(server.accept()[0])
        served.settimeout(30)
        threads = [
            threading.Thread(target=pour, args=(client, sent[0], got[0])),
            threading.Thread(target=pour, args=(served, sent[1], got[1])),
        ]
        for thread in threads:
            thread.start()
        frames, headers = wire.read_batch(timeout=30)
        segments = wire.segment(frames, headers)
        for thread in threads:
            thread.join()
    assert got[0] == sent[1]
    assert got[1] == sent[0]
    # What was on the wire is GUE as the kernel's, within the MTU
    layouts = gso.parse_batch(segments)
    gue = layouts["tunnel"] == gso.Tunnel.GUE
    assert gue.any()
    assert set(layouts["tnl_hlen"][gue].tolist()) == {12}
    assert segments.lengths.max() <= 14 + 1500
    assert not any(len(gso.validate(segments[int(i)])) for i in np.flatnonzero(gue)[:20])
    for gateway in (one, two):
        assert gateway.counts["sent"] > SIZE / 1500
        assert gateway.counts["not understood"] == 0


def test_what_belongs_together():
    def runs(*lengths):
        packets = gso.Frames.from_list([bytes([0x45]) * length for length in lengths])
        return [run.lengths.tolist() for run in gue_gateway.runs(packets)]

    assert runs() == []
    assert runs(5) == [[5]]
    assert runs(5, 5, 3, 3) == [[5, 5, 3], [3]]
    assert runs(3, 5, 5) == [[3], [5, 5]]
    assert runs(*[9] * 130) == [[9] * 64, [9] * 64, [9] * 2]
    assert runs(*[9000] * 10) == [[9000] * 7, [9000] * 3]
    assert runs(66000, 66000) == [[66000], [66000]]


def test_what_is_not_understood_is_left_out():
    packet = bytes([0x45]) + bytes(19)
    six = bytes([0x60]) + bytes(39)
    taken = {
        b"\0\4\0\0" + packet: packet,
        b"\1\4\0\0OPTS" + packet: packet,
        b"\0\x29\0\0" + six: six,
        packet: packet,  # version 1
        b"\x20\4\0\0" + packet: None,  # control
        b"\0\4\1\0" + packet: None,  # flags
        b"\0\4\0\1" + packet: None,
        b"\0\x29\0\0" + packet: None,  # not what it says
        b"\0\4\0\0": None,
        b"\x1f\4\0\0" + packet: None,
        b"\0\4": None,
        b"\x80\4\0\0" + packet: None,
    }
    for gue, inner in taken.items():
        found = gue_gateway.inner_packet(memoryview(gue))
        assert (None if found is None else bytes(found)) == inner, gue
