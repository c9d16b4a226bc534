"""The way to the host: a port that takes lines of JSON."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

_PATIENCE = 30.0


class Port:
    """The port that the plan names, which may take no line of more bytes than it says."""

    def __init__(self, plan: dict[str, Any]) -> None:
        device, self._longest = Path(plan["device"]), plan["longest"]
        deadline = time.monotonic() + _PATIENCE
        while not device.exists() and time.monotonic() < deadline:
            time.sleep(0.01)  # its driver asks the host for ports, and makes them when it answers
        self._port = os.open(device, os.O_WRONLY)

    def tell(self, **event: Any) -> None:
        """Send one line."""
        line = json.dumps(event).encode()
        if len(line) > self._longest:
            raise ValueError(f"{len(line)} bytes to tell, at most {self._longest} can be told")
        line += b"\n"
        while line:
            line = line[os.write(self._port, line) :]
