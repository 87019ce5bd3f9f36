"""What a run that nobody watches needs: who is told how it ended."""
