"""For compiled code only: see _options.pxd."""
