"""The sections of config.toml that have rules of their own."""
