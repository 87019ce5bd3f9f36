"""The front door from a checkout: `python cli.py …` is `ingest …`."""

from ingest.__main__ import main

if __name__ == "__main__":
    main()
