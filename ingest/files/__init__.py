"""Files that survive a crash, opened so that nothing planted is followed; hashes, rights."""
