"""Moving the parts of a cache between local folders and object stores, without ever losing one of the copies."""
