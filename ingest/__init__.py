"""Bulk ingestion of Massive.com daily flat files."""
