"""Segment, coalesce and validate packets exactly as the Linux kernel does.

A name is imported when it is first used, and a module of this package likewise (PEP 562): most
programs need few of them. `__init__.pyi` says the same for type checkers.
"""

from importlib import import_module, util

_HOMES = {
    "gso.buffers._checksum": "checksum checksum_batch checksum_update copy_and_checksum "
    "pseudo_header simd_path",
    "gso.buffers._frames": "Frames Segments",
    "gso.buffers._memory": "memory_limit trim_memory",
    "gso.capture": "Capture read_capture write_capture",
    "gso.coalescing._coalesce": "Coalesced coalesce",
    "gso.constants": "GSO_BY_FRAGS L4 GsoType Reason Tunnel",
    "gso.diagnosis": "Case",
    "gso.drawing.described": "Description describe",
    "gso.drawing.diagnosed": "Diagnosis diagnose",
    "gso.encapsulation._decapsulate": "decapsulate",
    "gso.encapsulation._encapsulate": "encapsulate",
    "gso.encapsulation.sizes": "mss overhead",
    "gso.errors": "GsoError",
    "gso.headers._layout": "LAYOUT_DTYPE Layout parse parse_batch",
    "gso.rewriting.coalesce": "coalesce_capture",
    "gso.rewriting.segment": "segment_capture",
    "gso.rules": "RULES SKB_DTYPE Finding Findings Rule Severity SkbState explain skb_array "
    "validate validate_batch",
    "gso.segmentation._batch": "SegmentHeadersBatch segment_batch segment_headers_batch",
    "gso.segmentation._segment": "SegmentHeaders segment segment_headers",
    "gso.headers.vnet": "VNET_DTYPE VirtioNetFlags VirtioNetGso",
    "gso.segmentation.virtio": "VirtioNetHeader segment_vnet",
    "gso.segmentation.vnet_batch": "segment_vnet_batch",
    "gso.traces.reader": "TraceReader read_trace",
    "gso.traces.trace": "Trace",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)  # noqa: PLE0605  (strings, all of them)


def __getattr__(name: str) -> object:
    """Import a public name, or a module of this package, and keep it."""
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    if name == "__version__":
        return import_module("gso.commands.usage").version()
    if not name.startswith("_") and util.find_spec(f"{__name__}.{name}"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """All public names, those that are not imported yet, too."""
    return sorted({*globals(), *__all__})
