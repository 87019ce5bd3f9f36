"""Turns request, listing and manifest into one decision per session; downloads no file."""
