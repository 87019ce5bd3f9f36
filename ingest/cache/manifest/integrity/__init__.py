"""What the values of the manifest may be, what is wrong with them, and what of a damaged one goes into a new one."""
