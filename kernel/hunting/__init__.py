"""The hunt for faults that nobody knows: random stacks, by rules that are data."""
