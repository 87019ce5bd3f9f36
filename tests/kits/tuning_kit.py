"""Other thresholds and waits for the runs of a test."""

from dataclasses import replace
from typing import Any

import pytest

from ingest.settings import tuning


def tune(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Let settings that are made from here on have other thresholds and waits; those of an earlier call stay."""
    monkeypatch.setattr(tuning, "DEFAULT", replace(tuning.DEFAULT, **changes))
