"""Splits and dividends of stored rows: requested, stored, checked and applied."""
