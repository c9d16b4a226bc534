"""For compiled code only: see _plan.pxd."""
