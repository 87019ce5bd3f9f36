"""Parts in an object store, and what belongs to them. Needs the extra `objects`, which is imported when it is used."""
