"""A nightly run, as the platform schedules it: what would be written, and which commands put it into effect."""
