"""The functions for Python programs; `ingest` exports them and imports the module of one when it is first used.

Shared arguments: `start`, `end` and `session` are dates, datetimes (only the date counts), or text such as
"2025-11-11". `tickers` is one name or several. `dataset` is a short name ("crypto-day") or a full one
("global_crypto/day_aggs_v1"). `config` is the path of a settings file; None means the one that the commands find. All
functions raise UsageError for an invalid argument or setting.
"""
