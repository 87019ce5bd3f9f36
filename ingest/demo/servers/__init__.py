"""S3 servers on this machine that serve the generated files."""
