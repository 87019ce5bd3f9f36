"""Values as tables for a notebook; whatever they quote is text. Pure."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from html import escape
from typing import Any

from ingest.errors import printable

_SHOWN = 5
"""Entries of a list that are shown."""


def in_html(value: Any) -> str:
    """A dataclass as a table for a notebook: its fields that are not empty, with names and values as text."""
    shown = {one.name: getattr(value, one.name) for one in fields(value)}
    rows = [
        f"<tr><th>{escape(name.replace('_', ' '))}</th><td>{escape(printable(_in_words(one)))}</td></tr>"
        for name, one in shown.items()
        if one not in (None, "", (), {}) and (one is not False)
    ]
    return f"<table>{''.join(rows)}</table>"


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_in_words(one)}" for name, one in value.items())
    if isinstance(value, tuple):
        more = f" and {len(value) - _SHOWN:,} more" if len(value) > _SHOWN else ""
        return "; ".join(map(_in_words, value[:_SHOWN])) + more
    if is_dataclass(value):
        return " ".join(_in_words(getattr(value, one.name)) for one in fields(value) if getattr(value, one.name))
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
