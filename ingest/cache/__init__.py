"""What is on disk: parts, CSV files, quarantine, manifest; the lock and the commit protocol."""
