"""The CSV of every ticker you follow: lists, patterns, projection."""
