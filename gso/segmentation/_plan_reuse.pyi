"""For compiled code only: see _plan_reuse.pxd."""
