"""Captures read, segmented or coalesced, and written."""
