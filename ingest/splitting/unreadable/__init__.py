"""Texts that cannot be read: which lines are at fault."""
