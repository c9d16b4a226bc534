"""For compiled code only: see _arrow.pxd."""
