"""Rows back out: raw, adjusted, lazily, like yfinance; Yahoo where Massive has none."""
