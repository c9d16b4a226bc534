"""TCP in blocks of one MiB, for the time that a tunnel takes for them.

    python stream.py receive ADDRESS         says "ready" once it listens
    python stream.py send ADDRESS            a program as `contest.Program` runs them

The receiver answers each block once it has all of it: the first with its hash, which the sender
compares before it says "ready". The sender keeps to TCP Reno: CUBIC, Linux's default, ends its slow
start early on some connections and not on others (HyStart), and their windows differ ever after.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import time

PORT, BLOCK = 7000, 1 << 20


def receive(address: str) -> None:
    """Take blocks of one sender until it ends."""
    with socket.create_server((address, PORT)) as listener:
        print("ready", flush=True)
        connection, _ = listener.accept()
    room = memoryview(bytearray(BLOCK))
    hashed = False
    with connection:
        while filled(connection, room):
            connection.sendall(b"." if hashed else hashlib.sha256(room).digest())
            hashed = True


def filled(connection: socket.socket, room: memoryview) -> bool:
    """Receive one block; False if there is no more."""
    got = 0
    while got < len(room):
        count = connection.recv_into(room[got:])
        if not count:
            return False
        got += count
    return True


def send(address: str) -> None:
    """Send as many blocks as each line of standard input says; answer with a block's time."""
    block = os.urandom(BLOCK)
    with socket.socket() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        connection.connect((address, PORT))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(block)
        digest = connection.recv(32, socket.MSG_WAITALL)
        if digest != hashlib.sha256(block).digest():
            raise SystemExit("what arrived is not what was sent")
        print("ready", flush=True)
        for line in sys.stdin:
            repeats = int(line.split()[1])
            start = time.perf_counter_ns()
            for _ in range(repeats):
                connection.sendall(block)
                connection.recv(1)
            print((time.perf_counter_ns() - start) / repeats, flush=True)


if __name__ == "__main__":
    {"receive": receive, "send": send}[sys.argv[1]](sys.argv[2])
