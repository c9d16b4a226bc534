"""What a frame is: the fast walk, the full table of fields, every tunnel in one place."""
