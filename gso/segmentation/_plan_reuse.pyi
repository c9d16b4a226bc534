"""For compiled code only: see _sequel.pxd."""
