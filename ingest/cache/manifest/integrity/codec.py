"""Records as JSON, for intents and for the notes in parts.

An intent is what a kill leaves of a replacement that had begun; a part's note is what remains if the manifest is lost.
Either may be damaged, so it is read as a record only if each of its values is valid.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from datetime import date
from typing import TYPE_CHECKING, Any, get_args

from ingest.cache.manifest.integrity.kinds import (
    Kind,
    Unfit,
    count,
    day,
    maybe,
    one_of,
    packed,
    parsed,
    strings,
    text,
    truth,
    whole,
)
from ingest.cache.manifest.records import SessionRecord
from ingest.finding import Finding
from ingest.splitting.diff import Correction, CorrectionKind

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def to_json(record: "DataclassInstance") -> str:
    """A record as JSON text."""
    # `asdict` would copy every value.
    return json.dumps({one.name: getattr(record, one.name) for one in fields(record)}, default=_plain)


def session_record(value: Any) -> SessionRecord:
    """The record of a session. Raises Unfit if the value is not one."""
    return SessionRecord(**_values(value, SessionRecord))


def decode_correction(value: Any) -> Correction:
    """The difference of a republished file. Raises Unfit if the value is not one."""
    return Correction(**_values(value, Correction))


def _values(value: Any, kind: "type[DataclassInstance]") -> dict[str, Any]:
    raw, known = parsed(value), {one.name: one for one in fields(kind)}
    needed = {name for name, one in known.items() if one.default is MISSING}
    if type(raw) is not dict or not needed <= raw.keys() <= known.keys():
        raise Unfit(value, f"a {kind.__name__}")
    return {name: _KINDS[name](one) for name, one in raw.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Finding):
        return asdict(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"cannot store {type(value).__name__}")


def _findings(value: Any) -> tuple[Finding, ...]:
    if type(value) is not list or any(type(one) is not dict or one.keys() != _FINDING for one in value):
        raise Unfit(value, "a list of findings")
    return tuple(Finding(text(one["kind"]), count(one["count"]), strings(one["examples"])) for one in value)


_FINDING = {"kind", "count", "examples"}


_KINDS: Mapping[str, Kind[Any]] = {
    **dict.fromkeys(("etag", "last_modified", "text_sha256", "tracked_sha256", "old_etag", "new_etag"), text),
    **dict.fromkeys(("size", "source_rows", "tracked_rows", "archive_rows", "dropped_rows"), count),
    **dict.fromkeys(("columns", "removed", "added", "old_columns"), strings),
    **dict.fromkeys(("tracked_row_numbers", "tracked_index"), packed),
    "session": day,
    "archive_sha256": maybe(text),
    "tracked_set": whole,
    "archive_kept": truth,
    "cut": one_of("lines", "polars"),
    "findings": _findings,
    "archive_index": maybe(packed),
    "kind": one_of(*get_args(CorrectionKind)),
}
"""What the fields of records may contain in JSON."""
