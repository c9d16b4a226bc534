"""Text, SVG and HTML for people."""
