"""Segments into super-packets, as the kernel's GRO does it."""
