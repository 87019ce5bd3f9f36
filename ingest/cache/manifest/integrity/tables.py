"""What each column of each table contains, and which values of a row depend on each other.

Decoders use these kinds, `check` applies them to every row, and a repair keeps the rows that are valid.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, get_args

from ingest.cache.manifest.integrity import codec
from ingest.cache.manifest.integrity.kinds import (
    Kind,
    Kinds,
    Unfit,
    blob,
    count,
    day,
    fitted,
    flag,
    maybe,
    moment,
    one_of,
    period,
    real,
    summary,
    text,
    texts,
    whole,
)
from ingest.cache.manifest.records import HeldState, RemoteState
from ingest.market.catalogue import CATALOGUE
from ingest.market.datasets import TIERS
from ingest.splitting.diff import CorrectionKind

Row = Mapping[str, Any]

COMMITTED: Kinds = {
    **dict.fromkeys(("size", "source_rows", "tracked_rows", "archive_rows", "dropped_rows"), count),
    **dict.fromkeys(("text_sha256", "tracked_sha256"), text),
    "tracked_row_numbers": blob,
    "tracked_set": whole,
    "archive_kept": flag,
    "cut": one_of("lines", "polars"),
    "columns": lru_cache(maxsize=64)(texts),
}
"""Columns that a committed session must have, and other sessions may have."""

_KEY: Kinds = {"dataset": text, "session": day}

TABLES: Mapping[str, Kinds] = {
    "runs": {
        "run": whole,
        "dataset": text,
        "window_start": day,
        "window_end": day,
        "started_at": moment,
        "finished_at": maybe(moment),
        "pid": count,
        "exit_code": maybe(whole),
        "summary": maybe(summary),
    },
    "tracked_sets": {"id": whole, "tickers": text},
    "sessions": {
        **_KEY,
        "held": one_of(*get_args(HeldState)),
        "remote": maybe(one_of(*get_args(RemoteState))),
        **dict.fromkeys(("reason", "remote_etag", "etag", "last_modified", "archive_sha256"), maybe(text)),
        **{name: maybe(kind) for name, kind in COMMITTED.items()},
        "projected": flag,
        "committed_at": maybe(moment),
        "run": maybe(whole),
    },
    "members": {**_KEY, "tier": one_of(*TIERS), "member_index": blob},
    "projections": {
        "dataset": text,
        "ticker": text,
        "period": period,
        "active": flag,
        "dirty": flag,
        "yahoo": flag,
        "first": maybe(text),
        "last": maybe(text),
        "sha256": maybe(text),
        "rows": maybe(count),
        "size": maybe(count),
        "mtime_ns": maybe(whole),
        "format": count,
    },
    "intents": {**_KEY, "record": codec.session_record, "correction": maybe(codec.decode_correction)},
    "corrections": {
        "id": whole,
        **_KEY,
        "old_etag": maybe(text),
        "new_etag": maybe(text),
        "columns": texts,
        "removed": texts,
        "added": texts,
        "old_columns": maybe(texts),
        "run": maybe(whole),
        "at": moment,
        "kind": one_of(*get_args(CorrectionKind)),
    },
    "permission_windows": {
        "dataset": text,
        "first": maybe(day),
        "last": maybe(day),
        "below": maybe(day),
        "above": maybe(day),
        "asked_at": moment,
    },
    "yahoo_rows": {
        "dataset": text,
        "ticker": text,
        "session": day,
        **dict.fromkeys(("open", "high", "low", "close", "volume"), maybe(real)),
        "asked_at": moment,
    },
    "actions": {
        "dataset": text,
        "ticker": text,
        "ex_date": day,
        "kind": one_of("split", "dividend", "gain", "odd"),
        "value": real,
        "close_before": maybe(real),
        "kept": maybe(real),
    },
    "instruments": {"dataset": text, "ticker": text, "instrument": text},
    "askings": {
        "dataset": text,
        "ticker": text,
        "first": day,
        "last": day,
        "asked_at": moment,
        "begins": maybe(day),
    },
    "refusals": {
        "dataset": text,
        "ticker": text,
        "first": day,
        "last": day,
        "reason": text,
        "asked_at": moment,
    },
    "findings": {**_KEY, "kind": text, "count": count, "examples": texts},
    "quarantine": {
        **_KEY,
        "etag": text,
        "size": maybe(count),
        "last_modified": maybe(text),
        "reason": text,
        "acceptable": flag,
        "run": maybe(whole),
        "at": moment,
        "sha256": maybe(text),
        "dismissed": maybe(moment),
    },
    "source": {"id": whole, "name": text, "since": moment},
    "patterns": {"dataset": text, "pattern": text},
    "prunings": {"dataset": text, "before": day},
    "identity": {"id": whole, "manifest": text, "made_at": moment},
    "stores": {
        "url": text,
        "generation": count,
        **dict.fromkeys(("token", "etag", "writing", "content"), maybe(text)),
    },
    "objects": {"dataset": text, "name": text, "size": count, "etag": text},
    "place": {
        "id": whole,
        **dict.fromkeys(("url", "endpoint", "region", "profile"), text),
        "tiers": one_of("both", "archive"),
        "since": moment,
    },
    "arrivals": {"target": text, "dataset": text, "name": text, "size": count, "etag": text},
    "departures": {
        **dict.fromkeys(("url", "endpoint", "region", "profile"), text),
        "tier": one_of(*TIERS),
        "at": moment,
    },
    "unwanted": {"dataset": text, "name": text, "since": moment},
    "lake": {
        **dict.fromkeys(("dataset", "partition", "contents", "sha256", "place", "etag"), text),
        **dict.fromkeys(("rows", "size", "format"), count),
        "mtime_ns": whole,
    },
}


def columns(table: str, *names: str) -> dict[str, Kind[Any]]:
    """Kinds of these columns of a table, by `table.column`."""
    return {f"{table}.{name}": TABLES[table][name] for name in names}


def joined(table: str, *names: str) -> dict[str, Kind[Any]]:
    """Kinds of these columns of a joined table, which may have no matching row."""
    return {name: maybe(kind) for name, kind in columns(table, *names).items()}


def committed(*names: str) -> dict[str, Kind[Any]]:
    """Kinds of these columns of committed sessions."""
    return {f"sessions.{name}": COMMITTED[name] if name in COMMITTED else TABLES["sessions"][name] for name in names}


def _session(row: Row) -> None:
    if row["held"] != "committed":
        return
    for name in COMMITTED:
        if row.get(name) is None:
            raise Unfit(None, f"a value that {name} of a committed session may have")


_DATASETS = {dataset.name: dataset for dataset in CATALOGUE.values()}


def _projection(row: Row) -> None:
    if row["dirty"] or not row["rows"]:
        return
    dataset = _DATASETS.get(row["dataset"])
    # Each month of a ticker has a file; the state that sums up the months has none.
    has_file = dataset is not None and (row["period"] != "" or dataset.kind.csv_shape == "file")
    if None in (row["first"], row["last"]) or (has_file and row["sha256"] is None):
        raise Unfit(None, "what a CSV with rows has as sha256, first or last")


def _permission(row: Row) -> None:
    days = [row[name] for name in ("below", "first", "last", "above") if row[name] is not None]
    if row["first"] is None and row["last"] is None:
        return
    if days != sorted(days) or None in (row["first"], row["last"]):
        raise Unfit([str(one) for one in days], "a span of dates")


RULES: Mapping[str, Callable[[Row], None]] = {
    "sessions": _session,
    "projections": _projection,
    "permission_windows": _permission,
}
"""Checks of a row's values together; each raises Unfit."""


def check_row(table: str, names: Sequence[str], row: Sequence[Any]) -> None:
    """Check a row of a table, of which these columns were read; raises Unfit, which names the column."""
    values = fitted({f"{table}.{name}": TABLES[table][name] for name in names}, row)
    if table in RULES:
        try:
            RULES[table](dict(zip(names, values, strict=True)))
        except Unfit as error:
            raise error.at(table) from None
