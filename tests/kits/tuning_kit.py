"""Other thresholds and waits for the runs of a test."""

from dataclasses import replace
from typing import Any

import pytest

from ingest.settings import tuning


def tune(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Give new settings from here on other thresholds and waits; changes of earlier calls stay."""
    monkeypatch.setattr(tuning, "DEFAULT", replace(tuning.DEFAULT, **changes))
