"""The headers of a frame: the fast walk, the full table of fields, every tunnel in one place."""
