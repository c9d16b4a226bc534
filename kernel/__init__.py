"""Test bed: boot patched and unpatched kernels, send real traffic, judge the patch."""
