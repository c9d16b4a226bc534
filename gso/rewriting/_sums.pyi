"""For compiled code only: see _sums.pxd."""
