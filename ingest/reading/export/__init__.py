"""Exports: stored rows as files for other programs."""
