"""What is supported where: Pythons, kernels, processors."""

from __future__ import annotations


def page() -> str:
    return "# What is supported\n"
