"""Whole runs: verify, bisect, record, shell."""
