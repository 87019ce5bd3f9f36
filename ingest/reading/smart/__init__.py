"""`get_smart_data`: what is stored first, what is missing from Massive in bulk, and Yahoo where Massive has nothing."""
