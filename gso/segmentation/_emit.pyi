"""For compiled code only: see _emit.pxd."""
