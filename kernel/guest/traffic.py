"""One exchange at a time, with its result checked by hash: streams; ``datagrams`` has others."""

from __future__ import annotations

import functools
import hashlib
import socket
import struct
import threading
import time
from typing import Any

from .netns import inside
from .topology import CLIENT, DIRECTOR, WORKER

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}

_HEADER = struct.Struct("!QQ")  # bytes of the whole upload, bytes of the answer's body
DIGEST_LENGTH = hashlib.sha256().digest_size

PROTOCOLS = {"tcp": 0, "sctp": 132, "mptcp": 262}
"""The protocols of streams, as a socket is asked for them; a scenario that names none has TCP."""
_SCTP, _SCTP_MAXSEG, _SCTP_NODELAY = PROTOCOLS["sctp"], 13, 3

_TCP_INFO_SND_MSS = 16  # struct tcp_info in include/uapi/linux/tcp.h
_TCP_INFO_TOTAL_RETRANS = 100


@functools.lru_cache(maxsize=16)
def pattern(length: int, seed: bytes) -> bytes:
    """Return bytes that repeat nowhere, so that a lost or moved block shows in the hash."""
    return hashlib.shake_128(seed).digest(length)


def client_socket(scenario: dict[str, Any], kind: socket.SocketKind) -> socket.socket:
    """Return a socket on the machine that the scenario's client runs on."""
    protocol = _protocol(scenario)
    with inside(DIRECTOR if scenario["from_director"] else CLIENT):
        made = socket.socket(FAMILY[scenario["inner"]], kind, protocol)
    if scenario["from_director"] or protocol == _SCTP:
        # Left to itself the kernel takes the service's own address, which is local too; SCTP
        # takes all addresses.
        made.bind((scenario["source"], 0))
    return made


def listens(scenario: dict[str, Any]) -> tuple[str, int]:
    """Return where the scenario's service is, on the worker."""
    return scenario.get("listens", scenario["target"]), scenario["service_port"]


def _protocol(scenario: dict[str, Any]) -> int:
    return PROTOCOLS.get(scenario.get("protocol", "tcp"), 0)


class Server:
    """Answers on the worker, one thread, one listener for each scenario's service."""

    def __init__(self, scenarios: list[dict[str, Any]], timeout: float) -> None:
        self._timeout = timeout
        self.retransmits = 0
        self._idle = threading.Event()
        for s in scenarios:
            with inside(WORKER):
                listener = socket.socket(FAMILY[s["inner"]], socket.SOCK_STREAM, _protocol(s))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(listens(s))
            listener.listen(8)
            work = (listener, _protocol(s))
            threading.Thread(target=self._serve, args=work, daemon=True).start()

    def _serve(self, listener: socket.socket, protocol: int) -> None:
        while True:
            connection, _ = listener.accept()
            connection.settimeout(self._timeout)
            with connection:
                try:
                    self._answer(connection)
                except OSError as error:
                    print(f"server: {error}", flush=True)
                self.retransmits = _info(connection, protocol)["retransmits"]
                self._idle.set()

    @staticmethod
    def _answer(connection: socket.socket) -> None:
        received = bytearray(_receive(connection, _HEADER.size))
        upload, download = _HEADER.unpack(received)
        received += _receive(connection, upload - _HEADER.size)
        digest = hashlib.sha256(received).digest()
        connection.sendall(digest + pattern(download, digest))

    def wait_idle(self) -> None:
        """Wait until the connection has been answered or has failed."""
        self._idle.wait(self._timeout)
        self._idle.clear()


def exchange(
    scenario: dict[str, Any], traffic: dict[str, Any], timeout: float, *, abort: bool = False
) -> dict[str, Any]:
    """Upload, read the answer, and say what arrived. A time-out is a result, not an error.

    ``abort``: where something failed the peer is told at once, and nothing is sent any more.
    """
    seed = f"{scenario['name']}/{traffic['name']}".encode()
    header = _HEADER.pack(traffic["upload"], traffic["download"])
    request = header + pattern(traffic["upload"] - len(header), seed)
    result: dict[str, Any] = {"upload_intact": False, "download_intact": False, "error": None}
    with client_socket(scenario, socket.SOCK_STREAM) as client:
        client.settimeout(timeout)
        _limit(client, _protocol(scenario), scenario["mss"])
        start = time.monotonic()
        try:
            client.connect((scenario["target"], scenario["service_port"]))
            client.sendall(request)
            digest = _receive(client, DIGEST_LENGTH)
            body = _receive(client, traffic["download"])
            result["upload_intact"] = digest == hashlib.sha256(request).digest()
            result["download_intact"] = body == pattern(traffic["download"], digest)
        except OSError as error:
            result["error"] = f"{type(error).__name__}: {error}"
        result["seconds"] = round(time.monotonic() - start, 4)
        result.update(_info(client, _protocol(scenario)))
        if abort and result["error"]:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
    return result


def _limit(client: socket.socket, protocol: int, mss: int) -> None:
    """Set the size of segments; those of MPTCP are for the receiver to limit."""
    if protocol == _SCTP:
        client.setsockopt(_SCTP, _SCTP_MAXSEG, mss)
        client.setsockopt(_SCTP, _SCTP_NODELAY, 1)
        return
    if protocol != PROTOCOLS["mptcp"]:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _receive(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = connection.recv(min(length - len(data), 1 << 16))
        if not piece:
            raise ConnectionError(f"peer closed after {len(data)} of {length} bytes")
        data += piece
    return bytes(data)


def _info(connection: socket.socket, protocol: int) -> dict[str, int]:
    """Return what the socket tells: that of SCTP nothing, once the peer has ended."""
    return {"mss": 0, "retransmits": 0} if protocol == _SCTP else _tcp_info(connection)


def _tcp_info(connection: socket.socket) -> dict[str, int]:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    return {
        "mss": struct.unpack_from("=I", info, _TCP_INFO_SND_MSS)[0],
        "retransmits": struct.unpack_from("=I", info, _TCP_INFO_TOTAL_RETRANS)[0],
    }
