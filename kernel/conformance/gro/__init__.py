"""Streams through the kernel's GRO, compared with ``gso.coalesce``."""
