"""Takes over what other tools downloaded."""
