"""Takes over what other tools have downloaded."""
