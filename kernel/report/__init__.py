"""The report on a run, made from its results folder alone: for people, and for CI systems."""
