"""Which ticker somebody may have meant by a name that is none: another case or sign, or a letter off. Pure."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_LEAST = 3
"""Shorter names are a letter away from each other anyway."""

_LONGEST = 14
"""Longer names, of contracts, are not tried a letter off: a strike or a day off is another contract."""

_MOST = 3


class Spellings:
    """Tickers that are known, looked up by names that come near."""

    def __init__(self, known: Collection[str], symbol: Callable[[str], str | None] = lambda ticker: None) -> None:
        """`symbol` gives the spelling of another vendor, by which a ticker is found, too."""
        self._known = frozenset(known)
        self._folded = defaultdict[str, set[str]](set)
        for ticker in self._known:
            for spelled in (ticker, ticker.partition(":")[2], symbol(ticker)):
                self._folded[_folded(spelled or "")].add(ticker)

    def near(self, name: str) -> Sequence[str]:
        """The tickers that come nearest to a name, three at most; none where it is known itself."""
        folded = _folded(name)
        if name in self._known or not folded:
            return []
        same = self._folded.get(folded, ())
        return sorted(same)[:_MOST] or self._a_letter_off(folded)

    def _a_letter_off(self, folded: str) -> Sequence[str]:
        if not _LEAST <= len(folded) <= _LONGEST:
            return []
        found = {ticker for other in _edits(folded) for ticker in self._folded.get(other, ())}
        # Fingers change places and repeat letters more often than they take others.
        return sorted(found, key=lambda one: (set(_folded(one)) != set(folded), one))[:_MOST]


def _folded(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper())


def _edits(name: str) -> Iterator[str]:
    """All that is one insertion, deletion, substitution or exchange of neighbours away (Damerau, 1964)."""
    for at in range(len(name) + 1):
        before, after = name[:at], name[at:]
        if after:
            yield before + after[1:]
            yield from (before + letter + after[1:] for letter in _LETTERS)
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
        yield from (before + letter + after for letter in _LETTERS)
