"""For compiled code only: see _notes.pxd."""
