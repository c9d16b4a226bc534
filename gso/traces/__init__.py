"""Logs of pwru, perf, ftrace and dmesg, read into columns."""
