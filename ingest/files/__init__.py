"""Files that survive a crash, opened without following anything planted; hashes, permissions."""
