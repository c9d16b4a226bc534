"""For compiled code only: see _complete.pxd."""
