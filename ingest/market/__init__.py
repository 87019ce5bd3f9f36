"""What the vendor publishes: datasets, sessions, tickers, subscriptions, corporate actions. Pure, no I/O."""
