"""For compiled code only: see _workers.pxd."""
