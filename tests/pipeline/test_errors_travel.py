"""An error of a worker in another process arrives unchanged: its kind, words, hints and values."""

import pickle
from datetime import date

import pytest

from ingest import errors
from ingest.cache.parts.members import TooLarge
from ingest.errors import IngestError
from ingest.files.opening import NotAFile
from ingest.hints import Option, call
from ingest.pipeline.session.body import Costly

HINTS = (call("run", "to download it", ("stocks-day",), start=date(2025, 3, 3)), Option("yes", True, "to confirm"))
OF_THEIR_OWN = {
    errors.NotConfirmed: errors.NotConfirmed("12 GB, two hours"),
    errors.Throttled: errors.Throttled("slower", retry_after_s=2.5),
    errors.Disagreement: errors.Disagreement("other prices", {date(2025, 3, 3): 1.5}),
    errors.ManifestDamaged: errors.ManifestDamaged("/cache/manifest.sqlite", "file is not a database"),
}


def kinds(kind):
    """A kind of error and all below it, of this package."""
    below = [one for each in kind.__subclasses__() for one in kinds(each)]
    return [one for one in (kind, *below) if one.__module__.startswith("ingest.")]


def examples():
    assert TooLarge in kinds(IngestError)
    plain = {kind: kind("what is wrong\nand where", *HINTS) for kind in kinds(IngestError) if kind not in OF_THEIR_OWN}
    more = [
        errors.Disagreement("other prices"),
        errors.AcrossSeam("two companies"),
        Costly(123_456),
        NotAFile("it is a link"),
    ]
    return [*plain.values(), *OF_THEIR_OWN.values(), *more]


@pytest.mark.parametrize("error", examples(), ids=lambda one: type(one).__name__)
def test_an_error_comes_back_from_another_process_as_it_was(error):
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert (str(back), back.args, vars(back)) == (str(error), error.args, vars(error))
    if isinstance(error, IngestError):
        assert (back.message, back.hints) == (error.message, error.hints)
    if isinstance(error, OSError):
        assert (back.errno, back.strerror) == (error.errno, error.strerror)
