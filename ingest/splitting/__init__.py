"""Splits a day's text into a tracked and an archive part, checks it, and compares it with another version. Pure."""
