"""For compiled code only: see _link.pxd."""
