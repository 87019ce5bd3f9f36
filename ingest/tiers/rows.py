"""Rows of some tickers out of the parts of many sessions: as lines of a tracked CSV, or as numbers."""

from collections.abc import Iterable, Iterator

import polars as pl

from ingest.errors import CacheError
from ingest.tiers.layout import TIERS, PartFolders, PartsOf
from ingest.tiers.parts import read_lines, read_text

_BATCH_BYTES = 256 * 1024
"""Text parsed at once. Where a part is not sorted its whole text has to be read to find a ticker."""

_PRICED = ("open", "high", "low", "close", "volume")
_FEW = 16
"""So many tickers are looked for in the bytes; for more the text is parsed, which costs the same for any number."""

SCHEMA = pl.Schema({"ticker": pl.String, "date": pl.String, "line": pl.String})

BARS = pl.Schema(
    {
        "ticker": pl.String,
        "date": pl.Date,
        **dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64),
        "transactions": pl.Int64,
    }
)


def extract(folders: PartFolders, sessions: Iterable[PartsOf], wanted: frozenset[str]) -> pl.DataFrame:
    """Lines (without line ends) of the wanted tickers, sorted by ticker and date, one a ticker and date.

    Where a file has several rows of a ticker the first one counts. Raises CacheError for a part that can't be read.
    """
    frames = [_lines(text, columns, wanted) for columns, text in _batches(_texts(folders, sessions, wanted))]
    rows = pl.concat([pl.DataFrame(schema=SCHEMA), *frames])
    return rows.unique(["ticker", "date"], keep="first", maintain_order=True).sort("ticker", "date")


def _texts(
    folders: PartFolders, sessions: Iterable[PartsOf], wanted: frozenset[str]
) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """Columns and dated text of each part that may hold wanted tickers."""
    for parts in sessions:
        for tier in TIERS:
            if tickers := parts.tickers_in(tier, wanted):
                text = read_lines(folders.path(parts.session, tier), parts.index[tier], tickers)
                yield parts.columns, _dated(_narrowed(text, tickers, parts), parts)


def _narrowed(text: bytes, tickers: frozenset[str], parts: PartsOf) -> bytes:
    """The first line of each ticker alone, where they are few and lines are rows without quotes."""
    if len(tickers) > _FEW or parts.cut != "lines" or parts.columns[0] != "ticker" or b'"' in text:
        return text
    whole = b"\n" + text
    found = (_line_of(whole, b"\n" + ticker.encode() + b",") for ticker in sorted(tickers))
    return b"".join(found)


def _line_of(text: bytes, beginning: bytes) -> bytes:
    begin = text.find(beginning) + 1
    if not begin:
        return b""
    end = text.find(b"\n", begin)
    return text[begin : end + 1] if end >= 0 else text[begin:] + b"\n"


def bars(folders: PartFolders, sessions: Iterable[PartsOf], wanted: frozenset[str]) -> pl.DataFrame:
    """Rows of the wanted tickers as `BARS`, sorted by ticker and date, one a ticker and date.

    Where a file has several rows of a ticker the first one counts. Raises CacheError for a part that can't be read.
    """
    frames = [_numbers(text, columns, wanted) for columns, text in _batches(_texts(folders, sessions, wanted))]
    rows = pl.concat([pl.DataFrame(schema=BARS), *frames])
    return rows.unique(["ticker", "date"], keep="first", maintain_order=True).sort("ticker", "date")


def all_bars(folders: PartFolders, parts: PartsOf) -> pl.DataFrame:
    """Every row of a session out of both parts, as `bars` gives them. Raises CacheError."""
    texts = [read_text(folders.path(parts.session, tier)) for tier in TIERS if tier in parts.index]
    dated = [_dated(text[text.find(b"\n") + 1 or len(text) :], parts) for text in texts]
    rows = pl.concat([pl.DataFrame(schema=BARS), *(_numbers(text, parts.columns, None) for text in dated if text)])
    return rows.unique(["ticker"], keep="first", maintain_order=True).sort("ticker")


def _numbers(text: bytes, columns: tuple[str, ...], wanted: frozenset[str] | None) -> pl.DataFrame:
    stamp = _stamp(columns)
    rows = _parse(text, (stamp, *columns))
    if wanted is not None:
        rows = rows.filter(pl.col("ticker").is_in(list(wanted)))
    number = {name: pl.col(name).str.strip_chars().cast(pl.Float64, strict=False) for name in _PRICED}
    count = pl.col("transactions") if "transactions" in columns else pl.lit(None, pl.String)
    return rows.select(
        pl.col("ticker").fill_null(""),
        pl.col(stamp).str.to_date("%Y-%m-%d").alias("date"),
        **number,
        transactions=count.str.strip_chars().cast(pl.Float64, strict=False).cast(pl.Int64, strict=False),
    )


def _dated(text: bytes, parts: PartsOf) -> bytes:
    """The text with the session's date put before each row, so that many sessions are parsed as one text."""
    stamp = parts.session.isoformat().encode() + b","
    if not text:
        return b""
    if parts.cut == "lines":
        return stamp + text.removesuffix(b"\n").replace(b"\n", b"\n" + stamp) + b"\n"
    rows = _parse(text, parts.columns)
    dated = rows.select(pl.lit(parts.session.isoformat()).alias(_stamp(parts.columns)), pl.all())
    return dated.write_csv(include_header=False).encode()


def _stamp(columns: tuple[str, ...]) -> str:
    """A name for the column of the session's date that no column of the vendor's has."""
    return "\0" * (1 + max(map(len, columns), default=0))


def _batches(
    texts: Iterable[tuple[tuple[str, ...], bytes]],
) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """Texts of equal columns joined up to `_BATCH_BYTES`."""
    columns: tuple[str, ...] = ()
    batch: list[bytes] = []
    size = 0
    for these, text in texts:
        if batch and (these != columns or size + len(text) > _BATCH_BYTES):
            yield columns, b"".join(batch)
            batch, size = [], 0
        columns = these
        batch.append(text)
        size += len(text)
    if batch:
        yield columns, b"".join(batch)


def _parse(text: bytes, columns: tuple[str, ...]) -> pl.DataFrame:
    # A header of our own, of the right length: without one polars takes the first row for the measure of all others.
    numbered = [str(number) for number in range(len(columns))]
    header = ",".join(numbered).encode() + b"\n"
    try:
        rows = pl.read_csv(header + text, schema=dict.fromkeys(numbered, pl.String), truncate_ragged_lines=True)
    except pl.exceptions.PolarsError as error:
        raise CacheError(f"a part holds rows that cannot be parsed: {str(error).splitlines()[0]}") from error
    return rows.rename(dict(zip(numbered, columns, strict=True)))


def _lines(text: bytes, columns: tuple[str, ...], wanted: frozenset[str]) -> pl.DataFrame:
    stamp = _stamp(columns)
    rows = _parse(text, (stamp, *columns)).filter(pl.col("ticker").is_in(list(wanted)))
    fields = [pl.col(name).fill_null("").str.strip_chars() for name in ("open", "high", "low", "close")]
    line = pl.concat_str([stamp, *fields, _volume()], separator=",")
    return rows.select("ticker", pl.col(stamp).alias("date"), line.alias("line"))


def _volume() -> pl.Expr:
    """The volume as published, but for a whole number in another dress (`1200.0`, `1.2e3`): that loses it."""
    text = pl.col("volume").fill_null("").str.strip_chars()
    number = text.cast(pl.Float64, strict=False)
    whole = number.is_finite() & (number == number.floor()) & (number.abs() < 2.0**53)
    plain = text.str.contains(r"^\d+$")
    return pl.when(whole & ~plain).then(number.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(text)
