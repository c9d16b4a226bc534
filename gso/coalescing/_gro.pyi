"""For compiled code only: see _merge.pxd."""
