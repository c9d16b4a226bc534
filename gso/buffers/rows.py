"""Rows of structured arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def take_rows(table: npt.NDArray[Any], which: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Copy the rows `which`, numbers or a mask, of a structured array.

    They are copied as bytes: NumPy copies records field by field, fifty times as slow.
    """
    rows: npt.NDArray[Any] = table.view(f"V{table.dtype.itemsize}")[which].view(table.dtype)
    return rows


def join_rows(tables: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Copy the rows of structured arrays of one type one after another, as bytes."""
    kind = tables[0].dtype
    rows = np.concatenate([table.view(f"V{kind.itemsize}") for table in tables])
    return rows.view(kind)
