"""Where the test bed keeps things."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).parent
GUEST = PACKAGE / "guest"


def cache_folder() -> Path:
    """Return the folder for downloads and builds: $PYGSO_CACHE, or pygso below $XDG_CACHE_HOME."""
    if own := os.environ.get("PYGSO_CACHE"):
        return Path(own).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "pygso"


def patches_folder() -> Path:
    """Return the folder of the patches that come with the package."""
    installed = PACKAGE / "patches"
    return installed if installed.is_dir() else PACKAGE.parent / "patches"
