"""What errors of the source say, and what they must not."""

import itertools
from types import SimpleNamespace

import pytest

from ingest.errors import CacheError, IngestError
from ingest.sources.massive import s3_errors


def test_causes_that_lead_back_to_themselves_are_each_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where several tasks raise the same error of a full disk, each while it deals with another's."""
    looks = itertools.count()
    monkeypatch.setattr(s3_errors, "hidden", lambda text, secrets: f"{text}{'' if next(looks) < 100 else 1 / 0}")
    full, reset, again = CacheError("the disk is full"), OSError("reset"), OSError("again")
    full.__context__, reset.__context__, again.__context__ = reset, again, reset
    with pytest.raises(IngestError, match="the disk is full"), s3_errors.translating("a file", SimpleNamespace()):
        raise full
    assert next(looks) == 3
