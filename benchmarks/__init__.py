"""The same job side by side with its peers and its floor: `python -m benchmarks`. Reported, never asserted."""
