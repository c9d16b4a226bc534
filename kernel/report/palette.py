"""The colours of the report, for light and dark screens."""

LIGHT = {
    "paper": "#ffffff",
    "panel": "#f6f7f9",
    "ink": "#1b1f24",
    "soft": "#57606a",
    "line": "#d0d7de",
    "unpatched": "#b8480b",
    "patched": "#0b62c4",
    "good": "#17692a",
    "bad": "#b3261e",
    "unsure": "#7a4fb5",
    "outer": "#cfe3f7",
    "tunnel": "#f7e3c0",
    "inner": "#cdebd2",
    "data": "#e8e8e8",
}
DARK = {
    "paper": "#0f1419",
    "panel": "#171d24",
    "ink": "#e6edf3",
    "soft": "#9aa5b1",
    "line": "#333c46",
    "unpatched": "#ff9a57",
    "patched": "#6cb6ff",
    "good": "#63c77a",
    "bad": "#ff8a80",
    "unsure": "#c5a3f5",
    "outer": "#1f4468",
    "tunnel": "#5f4614",
    "inner": "#1f5230",
    "data": "#3a3f45",
}


def variables(selector: str) -> str:
    """Return style rules that set the colours as variables on what ``selector`` names."""

    def rule(colours: dict[str, str]) -> str:
        return f"{selector} {{ " + " ".join(f"--{k}: {v};" for k, v in colours.items()) + " }"

    return f"{rule(LIGHT)}\n@media (prefers-color-scheme: dark) {{ {rule(DARK)} }}\n"
