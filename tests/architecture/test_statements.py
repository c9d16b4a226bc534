"""Imports and includes are found wherever they stand, and nowhere else."""

from __future__ import annotations

import pytest

from architecture.statements import (
    Import,
    Include,
    c_includes,
    cython_statements,
    python_imports,
)

PYTHON = '''"""from a import docstring"""
import one.two as three, four
from . import near
from ..far import x as y, z
if TYPE_CHECKING:
    from late import (
        a,
        b,
    )
def f():
    import inner
text = "import string"
'''


def test_python() -> None:
    assert sorted(python_imports(PYTHON), key=lambda found: (found.line, found.module)) == [
        Import(2, "four"),
        Import(2, "one.two"),
        Import(3, "", ("near",), 1),
        Import(4, "far", ("x", "z"), 2),
        Import(6, "late", ("a", "b")),
        Import(11, "inner"),
    ]


CYTHON = '''# cython: language_level=3
"""A docstring:
from a import docstring
"""
cimport one.two as three, four
from libc.stdint cimport (  # from a cimport comment
    int8_t as i8,
    uint8_t,
)
from \\
    joined cimport a
from . cimport near
from ..far cimport *
cdef extern from "simd.h" nogil:
    int f(char *from_)
cdef extern from *:
    """
    #include <stdint.h>
    #include "own.h"
    """
cdef extern from "<arpa/inet.h>" nogil: pass
include "part.pxi"
try: import inner
except ImportError: pass
cdef char *s = b"from x import y"; import after
cdef int g(object[:] a, int? from_import) except -1:
    """Not this either: cimport words."""
    return a[1:2] if a else <int>(0xFF)
    from deep import (d)
'''


def test_cython() -> None:
    assert list(cython_statements(CYTHON)) == [
        Import(5, "one.two"),
        Import(5, "four"),
        Import(6, "libc.stdint", ("int8_t", "uint8_t")),
        Import(10, "joined", ("a",)),
        Import(12, "", ("near",), 1),
        Import(13, "far", ("*",), 2),
        Include(14, "simd.h"),
        Include(19, "own.h"),
        Include(22, "part.pxi"),
        Import(23, "inner"),
        Import(25, "after"),
        Import(29, "deep", ("d",)),
    ]


C = """/* #include "no.h" */
#include <string.h>
#include "one.h" // "two.h"
// #include "three.h"
  #  include  "four/five.h"
/*
#include "six.h"
*/ const char *s = "/*";
#include "seven.h"
"""


def test_c() -> None:
    assert list(c_includes(C)) == [
        Include(3, "one.h"),
        Include(5, "four/five.h"),
        Include(9, "seven.h"),
    ]


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        (Import(1, "a.b"), "import a.b"),
        (Import(1, "a", word="cimport"), "cimport a"),
        (Import(1, "b", ("x", "y"), 2), "from ..b import x, y"),
        (Include(1, "a.h"), 'include "a.h"'),
    ],
)
def test_shown(statement: Import | Include, shown: str) -> None:
    assert str(statement) == shown
