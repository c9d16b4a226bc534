"""For compiled code only: see _inner.pxd."""
