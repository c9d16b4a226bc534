"""For compiled code only: see _recipe.pxd."""
