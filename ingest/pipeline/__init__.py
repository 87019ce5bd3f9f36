"""A run: download, split, stage on workers, one committer, then the CSVs."""
