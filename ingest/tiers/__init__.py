"""Where rows go: the two parts of a session, and the tracked CSVs made from them."""
