"""What becomes of the text of one session: its parts, a comparison with the stored ones, or why it cannot be read."""
