"""What makes the documentation site: see `__main__`."""
