"""One super-packet into segments, as the kernel's GSO does it."""
