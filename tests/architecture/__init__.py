"""Which file uses which, read from the sources, against which room may, read from the page."""
