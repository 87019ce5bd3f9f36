"""Compares the main job with its peers and its floor: `python -m benchmarks`. Reported, never asserted."""
