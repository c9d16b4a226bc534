"""For compiled code only: see _keys.pxd."""
