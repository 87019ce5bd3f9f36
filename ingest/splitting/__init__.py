"""A day's text becomes a tracked part, an archive part, findings, and the difference to another version. Pure."""
