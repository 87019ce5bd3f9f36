"""Commands of the first hour: demo, check, config."""
