"""The way to the host: a port that takes lines of JSON."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

_PATIENCE = 30.0
PORTS, DEVICES = Path("/sys/class/virtio-ports"), Path("/dev")


def _device(name: str) -> Path:
    """Return the port of this name; udev, which would make a link of it, may not be there."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        for port in PORTS.glob("*/name"):
            if port.read_text().strip() == name:
                return DEVICES / port.parent.name
        time.sleep(0.01)  # its driver asks the host for ports, and makes them when it answers
    raise FileNotFoundError(f"no port of the name {name} in {_PATIENCE:g} s")


class Port:
    """The port that the plan names, which may take no line of more bytes than it says."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._longest = plan["longest"]
        self._port = os.open(_device(plan["name"]), os.O_WRONLY)

    def tell(self, **event: Any) -> None:
        """Send one line."""
        line = json.dumps(event).encode()
        if len(line) > self._longest:
            raise ValueError(f"{len(line)} bytes to tell, at most {self._longest} can be told")
        line += b"\n"
        while line:
            line = line[os.write(self._port, line) :]
