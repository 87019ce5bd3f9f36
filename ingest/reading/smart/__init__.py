"""`get_smart_data`: stored rows first, missing files from Massive in bulk, and Yahoo for what Massive does not have."""
