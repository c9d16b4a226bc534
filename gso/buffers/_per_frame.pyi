"""For compiled code only: see _per_frame.pxd."""
