"""UDP exchanges: datagrams of one size, many handed to the kernel in one call (UDP_SEGMENT).

Nothing is sent again: a lost datagram is a lost exchange, as it should be on a wire that drops
nothing.
"""

from __future__ import annotations

import hashlib
import itertools
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Any

from .netns import inside
from .topology import WORKER
from .traffic import DIGEST_LENGTH, FAMILY, client_socket, listens, pattern

_SO_RCVBUFFORCE = 33
_SOL_UDP, _UDP_SEGMENT = 17, 103
_ROOM = 8 << 20  # bytes that may wait for a reader
SILENCE = 1.0
"""Seconds without a datagram after which no more is expected."""

# Number of the exchange (its last byte), of this datagram, of all datagrams up, of all datagrams
# down. It is short, as datagrams of a few bytes have faults of their own.
_HEADER = struct.Struct("!BHHH")
# Not over 64 datagrams (UDP_MAX_SEGMENTS of old kernels), nor over what an IP packet holds.
_MOST_AT_ONCE = 40


def _socket_room(made: socket.socket) -> socket.socket:
    # Root of a user namespace has to do with the usual room.
    with suppress(PermissionError):
        made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
    return made


def _send(
    sender: socket.socket, pieces: list[bytes], to: Any, size: int, at_once: int = _MOST_AT_ONCE
) -> None:
    for at in range(0, len(pieces), at_once):
        burst = pieces[at : at + at_once]
        # The option is refused with datagrams that one packet holds anyway.
        control = [(_SOL_UDP, _UDP_SEGMENT, struct.pack("=H", size))] if len(burst) > 1 else []
        sender.sendmsg(burst, control, 0, to)


def _pieces(number: int, up: int, down: int, size: int, *, seed: bytes, count: int) -> list[bytes]:
    body = size - _HEADER.size
    data = pattern(body * count, seed)
    return [
        _HEADER.pack(number, index, up, down) + data[index * body : (index + 1) * body]
        for index in range(count)
    ]


class DatagramServer:
    """Answers on the worker when all datagrams of an exchange have come."""

    def __init__(self, scenarios: list[dict[str, Any]]) -> None:
        for s in scenarios:
            with inside(WORKER):
                listener = _socket_room(socket.socket(FAMILY[s["inner"]], socket.SOCK_DGRAM))
            listener.bind(listens(s))
            threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    @staticmethod
    def _serve(listener: socket.socket) -> None:
        current = -1
        pieces: dict[int, bytes] = {}
        while True:
            data, sender = listener.recvfrom(1 << 16)
            number, index, up, down = _HEADER.unpack_from(data)
            if number != current:
                current, pieces = number, {}
            pieces[index] = data
            if len(pieces) == up:
                digest = hashlib.sha256(b"".join(pieces[i] for i in sorted(pieces))).digest()
                answer = _pieces(number, up, down, len(data), seed=digest, count=down)
                answer[0] = (
                    answer[0][: _HEADER.size] + digest + answer[0][_HEADER.size + DIGEST_LENGTH :]
                )
                _send(listener, answer, sender, len(data))


_numbers = itertools.count()


def exchange(
    scenario: dict[str, Any], traffic: dict[str, Any], silence: float = SILENCE
) -> dict[str, Any]:
    """Send the datagrams, collect the answer, and say what arrived.

    ``traffic`` may say how many are handed over ``at_once``.
    """
    number = next(_numbers) % 256
    size = traffic["datagram"]
    up, down = traffic["upload"] // size, traffic["download"] // size
    seed = f"{scenario['name']}/{traffic['name']}".encode()
    request = _pieces(number, up, down, size, seed=seed, count=up)
    result: dict[str, Any] = {"upload_intact": False, "download_intact": False, "error": None}
    with _socket_room(client_socket(scenario, socket.SOCK_DGRAM)) as client:
        client.settimeout(silence)
        start = time.monotonic()
        try:
            to = (scenario["target"], scenario["service_port"])
            _send(client, request, to, size, traffic.get("at_once") or _MOST_AT_ONCE)
            answer = _collect(client, down)
            digest = answer[0][_HEADER.size : _HEADER.size + DIGEST_LENGTH]
            expected = _pieces(number, up, down, size, seed=digest, count=down)
            expected[0] = answer[0]
            result["upload_intact"] = digest == hashlib.sha256(b"".join(request)).digest()
            result["download_intact"] = answer == expected
        except OSError as error:
            result["error"] = f"{type(error).__name__}: {error}"
        result["seconds"] = round(time.monotonic() - start, 4)
    return {**result, "mss": size, "retransmits": 0}


def _collect(client: socket.socket, count: int) -> list[bytes]:
    pieces: dict[int, bytes] = {}
    while len(pieces) < count:
        try:
            data = client.recv(1 << 16)
        except TimeoutError:
            raise TimeoutError(f"{len(pieces)} of {count} datagrams of the answer came") from None
        pieces[_HEADER.unpack_from(data)[1]] = data
    return [pieces[index] for index in sorted(pieces)]
