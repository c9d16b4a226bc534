"""Kernel sources: fetched, patched, configured, built, kept."""
