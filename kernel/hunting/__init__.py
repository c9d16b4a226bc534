"""The hunt for unknown faults: random stacks, by rules that are data."""
