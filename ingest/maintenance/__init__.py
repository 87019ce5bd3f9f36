"""Keeps a cache in order: status, check, verify, repair, quarantine, adopt."""
