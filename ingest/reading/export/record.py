"""What the files of an export folder contain, so that none is replaced by prices that are adjusted in another way.

Nothing in a CSV says how its prices are adjusted, so `.ingest-export.json` in the folder does. It is replaced before
the files are: after a kill it may say what a file was about to become. A file that it does not name, such as one of an
earlier version, is compared with the new rows by its closes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from ingest.errors import UsageError
from ingest.files import durable, opening
from ingest.hints import Option
from ingest.market.adjust import Adjust
from ingest.market.datasets import Dataset
from ingest.reading.resample import bar_size

RECORD = ".ingest-export.json"

_ALIKE = 1e-6
"""Relative difference of two closes that are one price, written with all its digits or with fewer."""

_WORDS: Mapping[str, str] = {
    "none": "as traded",
    "splits": "adjusted for splits",
    "all": "adjusted for splits and dividends",
}


def content(dataset: Dataset, interval: str, adjust: Adjust) -> dict[str, str]:
    """What a file contains, as recorded: bars of an interval, made of the rows of a dataset."""
    return {"dataset": dataset.name, "interval": bar_size(interval), "adjust": adjust}


def recorded(folder: Path) -> dict[str, Any]:
    """What is recorded of the files of a folder, by name; nothing if the record is missing or unreadable."""
    path = folder / RECORD
    with durable.translated("read", path):
        if not opening.is_there(path):
            return {}
        try:
            found = json.loads(opening.read(path))["files"]
        except (ValueError, KeyError, TypeError):
            return {}
    return found if isinstance(found, dict) else {}


def record_of(files: Mapping[str, Any]) -> bytes:
    """The record, as bytes."""
    return (json.dumps({"version": 1, "files": dict(sorted(files.items()))}, indent=1) + "\n").encode()


def check_replaced(path: Path, old: Any, new: Mapping[str, str], frame: pl.DataFrame) -> None:
    """Raise UsageError if a file exists and is not known to contain such bars, adjusted in this way."""
    with durable.translated("look at", path):
        if not opening.is_there(path):
            return
    if old is None:
        if not _has_the_closes_of(path, frame):
            raise _differs(path, "other prices, or something else", new)
    elif old != new:
        raise _differs(path, _said(old), new)


def _said(content: Any) -> str:
    if not isinstance(content, Mapping):
        return "something else"
    adjust = str(content.get("adjust"))
    return f"{content.get('interval')} bars of {content.get('dataset')}, {_WORDS.get(adjust, adjust)}"


def _differs(path: Path, old: str, new: Mapping[str, str]) -> UsageError:
    return UsageError(
        f"{path} has {old}, and these are {_said(new)}. Nothing was written",
        Option("name", None, "to give these another name"),
        Option("overwrite", True, "to replace it"),
    )


def _has_the_closes_of(path: Path, frame: pl.DataFrame) -> bool:
    """Whether an unknown file has the same closes as the new one, on all rows that both have, of which there are some.

    A file without rows has no price that could be another.
    """
    keys = [name for name in ("ticker", "date", "time") if name in frame.columns]
    if "close" not in frame.columns or "date" not in keys:
        return False
    try:
        old = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)
        text = frame.select(*(pl.col(name).cast(pl.String) for name in keys), "close")
        both = text.join(old.select(*(pl.col(name).cast(pl.String) for name in keys), old="close"), on=keys)
    except (pl.exceptions.PolarsError, OSError, UnicodeError):
        return False
    if both.is_empty():
        return old.is_empty()
    closes = both.select("close", pl.col("old").cast(pl.Float64, strict=False))
    differ = (pl.col("close") - pl.col("old")).abs() > _ALIKE * pl.col("close").abs()
    return bool(closes.select(~(differ.fill_null(value=True)).any()).item())
