"""Random super-packets, segmented by a real kernel and by `gso`, and compared byte for byte."""
