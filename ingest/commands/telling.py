"""What reading warns of, as lines for people."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ingest.errors import IngestWarning


@contextmanager
def warnings_told() -> Iterator[None]:
    """Say our warnings as lines on stderr, also where an error follows them; others go their way."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", IngestWarning)
            yield
    finally:
        ours = [str(one.message) for one in caught if issubclass(one.category, IngestWarning)]
        sys.stderr.writelines(f"warning: {message}\n" for message in dict.fromkeys(ours))
        for other in caught:
            if not issubclass(other.category, IngestWarning):
                warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
