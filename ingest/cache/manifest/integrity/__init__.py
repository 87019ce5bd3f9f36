"""What the manifest's values may be, which flaws a manifest has, and how a new one replaces a damaged one."""
