"""For compiled code only: see _kernel_words.pxd."""
