"""A run: fetch, split, stage on workers, one committer, then the CSVs."""
