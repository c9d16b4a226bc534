"""For compiled code only: see _walk.pxd."""
