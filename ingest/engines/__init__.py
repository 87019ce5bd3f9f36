"""Sessions downloaded and split elsewhere: by other processes of this computer, or by the workers of a cluster.

A worker downloads, splits and stages; it has no manifest and no lock. The process that runs `ingest` alone plans and
commits. Nothing here is imported unless an engine is asked for.
"""
