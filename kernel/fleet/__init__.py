"""Machines of a cluster of Dask, which boot what a run here orders."""
