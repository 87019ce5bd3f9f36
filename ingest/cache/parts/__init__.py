"""The two parts of a session: gzip files of many members, and the note that they carry."""
