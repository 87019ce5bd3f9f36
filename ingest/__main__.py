"""`python -m ingest`, and what the `ingest` command calls."""

import sys

from ingest.commands.app import app
from ingest.errors import IngestError


def main() -> None:
    """Run a command; an error meant for the user becomes one message and its exit code."""
    try:
        app()
    except IngestError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
