"""For compiled code only: see _shapes.pxd."""
