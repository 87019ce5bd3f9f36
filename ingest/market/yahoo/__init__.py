"""How Yahoo spells tickers, and what it takes out of its prices for dividends. Pure, no I/O."""
