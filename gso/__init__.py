"""Kernel-exact segmentation (GSO) of UDP-tunnel packets on byte buffers."""
