"""Downloads that cannot be read: why, in words that name the line."""
