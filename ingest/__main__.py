"""`python -m ingest`, and what the `ingest` command calls."""

import gc
import sys

gc.disable()  # what imports make is no garbage: looking for some takes a tenth of the start. A run enables it.

from ingest.errors import IngestError  # noqa: E402


def main() -> None:
    """Run a command; an error meant for the user becomes one message and its exit code."""
    try:
        from ingest.commands.app import app  # here, where Ctrl-C is no traceback

        app()
    except IngestError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()  # spares Python the search for garbage as it ends: 0.15 s where polars was imported


if __name__ == "__main__":
    main()
