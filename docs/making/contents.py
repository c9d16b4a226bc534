"""The pages in the order of the site's contents."""

from __future__ import annotations

CONTENTS = {
    "": ("start",),
    "How to": (
        "howto/large-requests-crawl",
        "howto/super-packets",
        "howto/verify-a-patch",
        "howto/hunt",
        "howto/write-a-tunnel",
        "howto/watch-a-cluster",
    ),
    "Reference": (
        "reference/library",
        "reference/gso",
        "reference/gso-kernel",
        "reference/rules",
        "reference/drop-reasons",
        "reference/trace-formats",
        "reference/scenarios",
        "reference/faults",
        "reference/schemas",
        "reference/support",
    ),
    "Background": (
        "testbed",
        "conformance",
        "coverage",
        "fleet",
        "architecture",
        "benchmarks",
        "project/guard",
        "tuning",
        "captures",
        "logs",
        "findings",
        "project/vectors",
    ),
    "Project": ("project/contributing", "policy", "project/security", "project/changelog"),
}
"""The pages below each heading."""


def trees() -> str:
    """Return what makes Sphinx list them beside each page."""
    parts = []
    for heading, pages in CONTENTS.items():
        caption = [f":caption: {heading}"] if heading else []
        parts.append("\n".join(["```{toctree}", ":hidden:", *caption, "", *pages, "```"]))
    return "\n\n".join(parts) + "\n"
