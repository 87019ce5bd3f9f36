"""SQL over what is stored: a DuckDB connection with a view for each dataset, and what the manifest says.

Needs the extra `sql`. One module knows the library.
"""
