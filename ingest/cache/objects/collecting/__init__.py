"""Removal of objects that no session refers to: which they are, by whose clock, and when."""
