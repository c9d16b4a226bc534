"""For compiled code only: see _runs.pxd."""
