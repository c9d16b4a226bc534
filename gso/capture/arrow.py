"""Captures as Arrow tables: for pandas, polars, DuckDB and Parquet files. Needs pyarrow.

A row is a packet, and the columns are ``frame`` (large binary), ``timestamp`` (nanoseconds, UTC),
``interface`` and ``link_type`` (text), ``original_length`` (int64) and ``comment`` (text or null).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gso.buffers._frames import Frames
from gso.capture.format import Int64s, Interface

_TIME = pa.timestamp("ns", "UTC")


def table(
    frames: Frames,
    timestamps: Int64s,
    interfaces: Sequence[Interface],
    original_lengths: Int64s,
    comments: Sequence[str | None],
) -> Any:
    """The packets of a capture as a pyarrow Table; each argument has one value for a packet."""
    return pa.table(
        {
            "frame": frames.to_arrow(),
            "timestamp": pa.array(timestamps).cast(_TIME),
            "interface": pa.array([one.name for one in interfaces], pa.string()),
            "link_type": pa.array([one.link_type for one in interfaces], pa.string()),
            "original_length": pa.array(original_lengths),
            "comment": pa.array(list(comments), pa.string()),
        }
    )


def columns(
    source: Any,
) -> tuple[Frames, Int64s, tuple[Interface, ...], Int64s, Int64s, list[str | None]]:
    """The first arguments of a `Capture`, of a table whose columns but ``frame`` may lack.

    Args:
        source: a pyarrow Table, or what pyarrow makes one of, such as a data frame of polars.

    Raises ValueError for frames that are null, TypeError for those that are not binary.
    """
    rows = source if isinstance(source, pa.Table) else pa.table(source)
    if "frame" not in rows.column_names:
        raise ValueError(f"no column is called frame: {', '.join(rows.column_names)}")
    frames = Frames.from_arrow(rows["frame"])
    interfaces, numbers = _interfaces(rows)
    lengths = np.array(_values(rows, "original_length", 0), np.int64)
    return (
        frames,
        _times(rows),
        interfaces,
        numbers,
        np.maximum(lengths, frames.lengths),
        _values(rows, "comment", None),
    )


def _values(rows: Any, name: str, default: Any) -> list[Any]:
    """The values of a column, with the default in the place of nulls and of a column that lacks."""
    values = rows[name].to_pylist() if name in rows.column_names else [None] * rows.num_rows
    return [default if value is None else value for value in values]


def _times(rows: Any) -> Int64s:
    if "timestamp" not in rows.column_names:
        return np.zeros(rows.num_rows, np.int64)
    stamps = rows["timestamp"].cast(_TIME).cast(pa.int64()).fill_null(0)
    return np.asarray(stamps.to_numpy()).astype(np.int64)


def _interfaces(rows: Any) -> tuple[tuple[Interface, ...], Int64s]:
    """The interfaces, each once, and which of them each packet has."""
    known: dict[Interface, int] = {}
    types, names = _values(rows, "link_type", "ethernet"), _values(rows, "interface", "")
    numbers = [
        known.setdefault(Interface(*one), len(known)) for one in zip(types, names, strict=True)
    ]
    return tuple(known) or (Interface(),), np.array(numbers, np.int64)
