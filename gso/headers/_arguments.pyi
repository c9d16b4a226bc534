"""For compiled code only: see _arguments.pxd."""
