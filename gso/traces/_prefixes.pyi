"""For compiled code only: see _prefixes.pxd."""
