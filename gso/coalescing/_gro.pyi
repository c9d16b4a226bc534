"""For compiled code only: see _gro.pxd."""
