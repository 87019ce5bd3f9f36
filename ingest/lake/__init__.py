"""The lake: what is held as Parquet, for tools that read many rows of many tickers. A projection, made from the parts.

Each file covers a month of sessions, or one session where these are large. It is written when a run ends, and counts as
clean as long as the sessions are those that it was made of and nobody has changed it; all else is made again.
"""
