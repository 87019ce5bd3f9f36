"""What Tab offers: tickers, sessions in quarantine, and the words of a flag.

Tab is pressed in the middle of a command line: whatever goes wrong here (no settings, no cache, a damaged one), nothing
is offered, and nothing is printed. The cache is only read.
"""

import os
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from ingest.settings import Settings

_VARIABLE = "_INGEST_COMPLETE"
_CUT = "_INGEST_COMPLETE_CUT"
_MOST = 1000
_SAFE = re.compile(r"[\w.:^=+/-]+", re.ASCII)
"""Names that mean themselves in every shell; a vendor may use others, and these are not put on a command line."""

PERIODS = ("1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max")


class Offered(str):
    """A word to offer, which is printed as the shell must have it: in bash the rest of the word, with spaces escaped.

    Bash takes a colon as the end of a word, so `X:B` is a word `B` to it.
    """

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        """The text for the shell."""
        if os.environ.get(_VARIABLE) != "complete_bash":
            return str.__format__(self, spec)
        rest = self[int(os.environ.get(_CUT, "0")) :]
        return rest if _current().startswith(("'", '"')) else re.sub(r"([^\w.:^=+/-])", r"\\\1", rest)


def read_bash_words() -> None:
    """Join the words that bash has split at colons, in the environment by which it asks."""
    if os.environ.get(_VARIABLE) != "complete_bash":
        return
    words, current = os.environ.get("COMP_WORDS", "").split("\n"), int(os.environ.get("COMP_CWORD", "0"))
    joined: list[str] = []
    at = cut = 0
    for number, word in enumerate(words):
        goes_on = bool(joined and word) and (word[0] == ":" or joined[-1].endswith(":"))
        joined.append(f"{joined.pop()}{word}" if goes_on else word)
        if number == current:
            at, cut = len(joined) - 1, joined[-1].rfind(":") + 1 if goes_on else 0
    os.environ.update({"COMP_WORDS": "\n".join(joined), "COMP_CWORD": str(at), _CUT: str(cut)})


def words_of(offered: Iterable[str]) -> Callable[[str], list[str]]:
    """Complete one of these words."""

    def complete(incomplete: str) -> list[str]:
        return _fitting(offered, incomplete)

    return complete


def kinds(incomplete: str) -> list[str]:
    """Complete a kind of finding."""
    from ingest.finding import KINDS

    return _fitting(KINDS, incomplete)


def tickers(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a ticker: one that has a CSV or rows from Yahoo; with its first letters any of the newest session."""

    def held() -> Collection[str]:
        from ingest.cache.cache import Cache
        from ingest.market.catalogue import named, of_ticker
        from ingest.reading.known import beginning

        chosen = _chosen(ctx, "dataset")
        with Cache.read(_settings(ctx), named(chosen[0]) if chosen else of_ticker(incomplete)) as cache:
            return beginning(cache, incomplete)

    return _fitting(_quietly(held, incomplete), incomplete, _chosen(ctx, "tickers"))


def followed(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a ticker or a pattern of the lists."""

    def listed() -> Collection[str]:
        from ingest.market.catalogue import named, of_ticker
        from ingest.settings.lists import read_list, tracked

        settings, chosen, file = _settings(ctx), _chosen(ctx, "dataset"), ctx.params.get("list_file")
        if file:
            return read_list(file)
        dataset = named(chosen[0]) if chosen else of_ticker(incomplete)
        return tracked(dataset.csv_name, settings.lists_of(dataset)).tickers

    return _fitting(_quietly(listed, incomplete), incomplete, _chosen(ctx, "tickers"))


def refused(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a session in quarantine."""

    def sessions() -> Collection[str]:
        from ingest.maintenance.quarantine import in_quarantine
        from ingest.market.catalogue import STOCKS_DAY, named

        chosen = _chosen(ctx, "dataset")
        found = in_quarantine(_settings(ctx), dataset=named(chosen[0]) if chosen else STOCKS_DAY)
        return [str(one.session) for one in found]

    given = [str(one)[:10] for one in _chosen(ctx, "sessions")]
    return _fitting(_quietly(sessions, incomplete), incomplete, given)


def _settings(ctx: Any) -> "Settings":
    from ingest import settings

    given, at = None, ctx
    while given is None and at is not None:
        given, at = at.params.get("config"), at.parent
    return settings.load(given)


def _chosen(ctx: typer.Context, name: str) -> Sequence[str]:
    """The values given so far of a flag or argument."""
    given = ctx.params.get(name)
    return [given] if isinstance(given, str) else list(given or ())


def _quietly(found: Callable[[], Collection[str]], incomplete: str) -> Collection[str]:
    """Names that mean themselves in every shell; none if they cannot be read."""
    with warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        return sorted(name for name in found() if name.startswith(incomplete) and _SAFE.fullmatch(name))
    return ()


def _fitting(offered: Iterable[str], incomplete: str, given: Collection[str] = ()) -> list[str]:
    """Those that begin so; of very many some.

    The first and the last are among them: what all of these begin with, which a shell types, all others begin with.
    """
    found: list[str] = [Offered(one) for one in offered if one.startswith(incomplete) and one not in given]
    step = -(-len(found) // _MOST) or 1
    return [*found[::step], *found[-1:]] if step > 1 else found


def _current() -> str:
    words, number = os.environ.get("COMP_WORDS", "").split("\n"), int(os.environ.get("COMP_CWORD", "0"))
    return words[number] if number < len(words) else ""
