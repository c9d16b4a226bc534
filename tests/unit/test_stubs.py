"""Each compiled module says by a stub what Python sees of it."""

from __future__ import annotations

from pathlib import Path

# Not where it was built: sources stay here.
PACKAGE = Path(__file__).parents[2] / "gso"


def test_every_compiled_module_has_a_stub():
    sources = sorted(PACKAGE.glob("*/*.pyx"))
    assert len(sources) > 20
    assert [path.name for path in sources if not path.with_suffix(".pyi").exists()] == []
