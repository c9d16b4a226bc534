"""Signatures of compiled functions, as their stubs have them."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path
from typing import Any

import gso

_ROOT = Path(gso.__file__).parent


def of_stub(  # noqa: PLR0917  (Sphinx gives them by position)
    app: object, what: str, name: str, found: Any, options: object, signature: str, returns: str
) -> tuple[str, str] | None:
    """Return arguments and result that the stub declares; None where there is no stub.

    Sphinx' event autodoc-process-signature.
    """
    del app, options, signature, returns
    if what not in ("function", "method"):
        return None
    module = getattr(found, "__module__", None) or getattr(found, "__objclass__", type).__module__
    qualified = getattr(found, "__qualname__", name)
    function = _declared(module, qualified)
    if function is None:
        return None
    result = "" if function.returns is None else ast.unparse(function.returns)
    return _arguments(function, bound="." in qualified), result


def plain_attribute(  # noqa: PLR0917  (Sphinx gives them by position)
    app: object, what: str, name: str, found: object, options: object, lines: list[str]
) -> None:
    """Keep napoleon from taking what stands before an attribute's first colon for its type.

    Sphinx' event autodoc-process-docstring.
    """
    del app, name, found, options
    if what in ("attribute", "property"):
        lines.insert(0, "")


def class_arguments(found: type) -> str:
    """Return what a compiled class is made of, as its stub declares; empty for all others."""
    function = _declared(found.__module__, f"{found.__qualname__}.__init__")
    return "" if function is None else _arguments(function, bound=True)


def _arguments(function: ast.FunctionDef, *, bound: bool) -> str:
    static = any(ast.unparse(one) == "staticmethod" for one in function.decorator_list)
    if bound and not static:
        (function.args.posonlyargs or function.args.args)[:1] = []
    return f"({ast.unparse(function.args)})"


def _declared(module: str, name: str) -> ast.FunctionDef | None:
    """Return a function's declaration in the stub of a compiled module."""
    last = module.rpartition(".")[2]
    path = _ROOT.joinpath(*module.split(".")[1:]).with_suffix(".pyi")
    if not last.startswith("_") or not module.startswith("gso.") or not path.is_file():
        return None
    *classes, function = name.split(".")
    below: list[ast.stmt] = ast.parse(_text(path)).body
    for wanted in classes:
        found = [one for one in below if isinstance(one, ast.ClassDef) and one.name == wanted]
        below = found[0].body if found else []
    named = [one for one in below if isinstance(one, ast.FunctionDef) and one.name == function]
    return named[-1] if named else None


@lru_cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
