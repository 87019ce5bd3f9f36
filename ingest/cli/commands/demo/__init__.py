"""`ingest demo`: what it shows, in which folder, and what it says."""
