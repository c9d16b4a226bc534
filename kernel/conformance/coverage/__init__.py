"""Which lines of the kernel's segmenters and GRO receivers the packets of conformance reach."""
