"""The reference of the library: every public name, below the part of the library that it is of."""

from __future__ import annotations

from importlib import import_module

import numpy as np

import gso
from making.signatures import class_arguments

_PARTS = {
    "segmentation": "Segmentation",
    "coalescing": "Coalescing",
    "encapsulation": "Tunnels",
    "headers": "Headers",
    "rules": "Rules",
    "traces": "Traces",
    "diagnosis": "Diagnosis",
    "drawing": "Diagnosis",
    "capture": "Captures",
    "rewriting": "Captures",
    "buffers": "Frames, checksums, memory",
    "skb": "Rules",
    "constants": "Numbers and errors",
    "errors": "Numbers and errors",
}
"""The heading for each room of the library that has public names."""

MODULES = {
    "gso.tun": "TUN and TAP devices",
    "gso.packet": "Packet sockets",
    "gso.scapy": "Packets of scapy",
}
"""Public modules, whose names are imported from there."""

_ROWS = {
    "LAYOUT_DTYPE": "a row of :func:`parse_batch`",
    "SKB_DTYPE": "a row of :func:`skb_array`",
    "VNET_DTYPE": "a virtio header (``struct virtio_net_hdr``)",
}
_OTHERS = {
    "GSO_BY_FRAGS": "A ``gso_size`` that is no size: SCTP is cut into the ``pieces`` of "
    ":func:`segment`.",
    "RULES": "Every :class:`Rule` by its identifier, in the order of their bits.",
}


def library() -> str:
    """Return the reference; autodoc puts signature and docstring in the place of each name.

    Raises:
        KeyError: public names come from a room that has no heading.
    """
    parts: dict[str, list[str]] = {heading: [] for heading in _PARTS.values()}
    for home, names in gso._HOMES.items():
        parts[_PARTS[home.split(".")[1]]] += names.split()
    lines: list[str] = []
    for heading, names in parts.items():
        functions_first = sorted(names, key=lambda name: isinstance(getattr(gso, name), type))
        lines += ["", f"## {heading}", "", *_documented("gso", functions_first)]
    for module, heading in MODULES.items():
        names = import_module(module).__all__
        lines += ["", f"## {heading}", "", f"In the module `{module}`.", ""]
        lines += _documented(module, names)
    return "\n".join(lines) + "\n"


def _documented(module: str, names: list[str]) -> list[str]:
    lines = ["```{eval-rst}", f".. currentmodule:: {module}", ""]
    for name in names:
        found = getattr(import_module(module), name)
        if isinstance(found, type):
            lines += [f".. autoclass:: {module}.{name}{class_arguments(found)}", "   :members:", ""]
        elif callable(found):
            lines += [f".. autofunction:: {module}.{name}", ""]
        else:
            lines += [f".. py:data:: {name}", "", f"   {_described(name, found)}", ""]
    return [*lines, "```"]


def _described(name: str, value: object) -> str:
    """Return what a name is that is neither class nor function."""
    if isinstance(value, np.dtype):
        fields = ", ".join(f"``{field}`` ({value[field]})" for field in value.names or ())
        return f"The fields of {_ROWS[name]}, as a NumPy dtype of {value.itemsize} bytes: {fields}."
    return _OTHERS[name]
