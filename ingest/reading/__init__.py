"""Reads stored rows: raw, adjusted, lazily, or like yfinance; from Yahoo if Massive has none."""
