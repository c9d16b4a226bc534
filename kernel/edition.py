"""Which edition of the test bed this is: what two hosts must have in common to do one run."""

from __future__ import annotations

import functools
import hashlib
from importlib import metadata

from gso.kernel.paths import PACKAGE

_KINDS = (".py", ".sh", ".c", ".toml", ".config")


@functools.cache
def edition() -> str:
    """Return the package's version with a digest of the test bed's own files."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in _KINDS and path.is_file():
            digest.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes())
    return f"{metadata.version('pygso')}+{digest.hexdigest()[:12]}"
