"""`python -m ingest`, and the entry point of the `ingest` command."""

import gc
import os
import sys

# numpy's linear algebra is not used. Starting its threads takes a tenth of a second, and if that fails it sends SIGINT
# to this process.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
gc.disable()  # imports leave no garbage, and looking for some takes a tenth of the start. A run enables it.

from ingest.cli.output import exit_code, open_streams  # noqa: E402
from ingest.errors import IngestError  # noqa: E402
from ingest.importing import uninterrupted  # noqa: E402


def main() -> None:
    """Run a command; an error meant for the user becomes one message and its exit code."""
    answer = open_streams()
    try:
        sys.exit(exit_code(_command(), answer))
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()  # spares Python a garbage collection at exit: 0.15 s if polars was imported


def _command() -> int:
    try:
        with uninterrupted():
            from ingest.cli.app import app, completing  # here, where Ctrl-C causes no traceback

        completing.read_bash_words()
        app()
    except IngestError as error:
        from ingest.cli.rendering.records import is_asked
        from ingest.cli.warnings import tell_error

        tell_error(error, is_asked(sys.argv))
        return error.exit_code
    except SystemExit as ended:
        if isinstance(ended.code, str):
            raise
        return 0 if ended.code is None else ended.code  # as it is: it may be a Deed
    except BaseException as error:
        from ingest.cli.limits import USED_UP, used_up
        from ingest.cli.rendering.records import is_asked, print_error
        from ingest.cli.rendering.wrapping import tell

        words = used_up(error)
        if is_asked(sys.argv) and not isinstance(error, KeyboardInterrupt):
            print_error(type(error).__name__, words or str(error), USED_UP if words else 1)
        if not words:
            raise
        tell(f"error: {words}")
        return USED_UP
    return 0


if __name__ == "__main__":
    main()
