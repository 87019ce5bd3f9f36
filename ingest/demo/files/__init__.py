"""Generated files of every dataset, by the day."""
