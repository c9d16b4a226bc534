"""One file a family of scenarios; each has a list ``SCENARIOS``, found by its name."""
