"""Pages of what is a table in the code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gso.kernel.scenarios.faults import FAULTS, Change
from gso.kernel.scenarios.registry import SCENARIOS

from gso.diagnosis.reasons import REASONS
from gso.rules.table import RULES
from gso.traces.formats import READERS
from making.markdown import code, plain, table

ROOT = Path(__file__).resolve().parents[2]


def rules() -> str:
    """Return every rule that judges the fields of an sk_buff."""
    parts = [
        table(
            ["rule", "severity", "what must hold"],
            (
                [f"[`{r.rule}`](#{r.rule})", str(r.severity), code(r.compares)]
                for r in RULES.values()
            ),
        ),
    ]
    for rule in RULES.values():
        facts = [
            f"- **Severity**: {rule.severity}",
            f"- **What must hold**: {code(rule.compares)}",
            f"- **Fields**: {', '.join(map(code, rule.fields))}",
            f"- **What the kernel does**: {plain(rule.kernel_outcome)}",
            f"- **Usual cause**: {plain(rule.likely_cause)}",
        ]
        if rule.commits:
            facts.append(f"- **Upstream commits**: {', '.join(map(code, rule.commits))}")
        parts += [f"## {rule.rule}", "\n".join(facts)]
    return "\n\n".join(parts) + "\n"


def drop_reasons() -> str:
    """Return every reason for which the kernel drops packets."""
    rows = ([code(r.name), plain(r.meaning), plain(r.look_at)] for r in REASONS.values())
    return table(["reason", "what happened", "where to look"], rows)


def trace_formats() -> str:
    """Return every format of logs that is read."""
    rows = ([code(r.name), plain(r.tool), plain(r.versions), plain(r.reads)] for r in READERS)
    return table(["format", "tool", "version", "what is read"], rows)


def scenarios() -> str:
    """Return every scenario of the test bed, kind by kind."""
    kinds: dict[str, list[list[str]]] = {}
    for one in SCENARIOS:
        star = "yes" if one.default else ""
        length = "" if one.tnl_hlen is None else str(one.tnl_hlen)
        row = [code(one.name), star, length, plain(one.reason)]
        kinds.setdefault(one.kind, []).append(row)
    parts = []
    for kind, rows in sorted(kinds.items()):
        parts += [f"## {kind}", table(["scenario", "default", "tnl_hlen", "why it is there"], rows)]
    return "\n\n".join(parts) + "\n"


def faults() -> str:
    """Return every known fault of kernels."""
    parts = []
    for fault in FAULTS:
        facts = [
            f"**{plain(fault.title)}.** {plain(fault.symptom)}",
            "\n".join(
                [
                    f"- **Fix**: {code(fault.patch)}",
                    f"- **Introduced**: {_change(fault.introduced, 'not known')}",
                    f"- **Fixed upstream**: {_change(fault.fixed, 'by no commit')}",
                    f"- **Files**: {', '.join(map(code, fault.files))}",
                    f"- **Functions**: {', '.join(map(code, fault.functions))}",
                    f"- **Scenarios that fail with it**: {', '.join(map(code, fault.fails))}",
                ]
            ),
        ]
        parts += [f"## {fault.name}", *facts]
    return "\n\n".join(parts) + "\n"


def _change(change: Change | None, otherwise: str) -> str:
    if change is None:
        return otherwise
    versions = f" ({', '.join(change.versions)})" if change.versions else ""
    return f'{code(change.commit)} "{plain(change.subject)}"{versions}'


def schemas() -> str:
    """Return every schema of JSON that a command writes, with the topmost members of each form."""
    parts = []
    for path, schema in _schemas():
        parts += [f"## {plain(schema['title'])}", f"{_words(schema)}File: {code(path)}."]
        for form in schema.get("oneOf", [schema]):
            name = form.get("$ref", "").removeprefix("#/$defs/")
            described = schema["$defs"][name] if name else form
            if name:
                parts.append(f"{_words(described)}The form {code(name)}:")
            parts.append(table(["member", "type", "there", "what it is"], _members(described)))
    return "\n\n".join(parts) + "\n"


def _words(schema: dict[str, Any]) -> str:
    text = schema.get("description", "").strip().rstrip(".")
    return f"{plain(text)}. " if text else ""


def _members(schema: dict[str, Any]) -> Iterator[list[str]]:
    required = set(schema.get("required", ()))
    for name, one in schema.get("properties", {}).items():
        words = plain(one.get("description", ""))
        if "const" in one:
            words = f"{code(str(one['const']))} {words}"
        kinds = one.get("type", "")
        kind = " or ".join(kinds) if isinstance(kinds, list) else kinds
        yield [code(name), kind, "always" if name in required else "", words]


def _schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    for folder in ("gso", "kernel"):
        for path in sorted((ROOT / folder).rglob("*.schema.json")):
            yield str(path.relative_to(ROOT)), json.loads(path.read_text(encoding="utf-8"))
