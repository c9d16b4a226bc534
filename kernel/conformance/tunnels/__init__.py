"""Packets through tunnel devices, compared with ``gso.segment``."""
