"""Commands that return rows."""
