"""Bytes in memory: borrowed, held in batches, read as words, copied and summed."""
