"""Splits and dividends of stored rows: asked for, kept, checked and applied."""
