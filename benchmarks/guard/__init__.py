"""Instruction counts of the core, compared with those in counts.json; see GUARD.md."""
