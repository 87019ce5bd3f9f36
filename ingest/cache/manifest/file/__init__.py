"""The manifest's file: how it is opened, its tables, and their versions."""
