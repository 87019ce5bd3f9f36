"""Massive's flat files over S3."""
