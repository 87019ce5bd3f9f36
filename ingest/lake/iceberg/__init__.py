"""The lake as tables of Apache Iceberg, with a snapshot for each run: a projection of the lake's files.

A data file of a table never changes. It is named after what is in it, and is mostly another name of the lake's own
file, so nothing is written twice. What a table is missing is found by comparing its current snapshot with the
lake: no flag says it, so neither a kill nor a lost catalog can make a table stay wrong. Modules here are the only ones
that import pyiceberg, and only once there is something to do.
"""
