"""SQL over what is stored: a DuckDB connection with a view for each dataset, and what the manifest says.

Needs the extra `sql`. `connection` knows the library, and `parts.pushdown` a part of it that is not public.
"""
