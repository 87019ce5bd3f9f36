"""Commands that say what is stored, and repair it."""
