"""Generated daily files of every dataset."""
