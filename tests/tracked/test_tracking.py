"""`track list` of many names: the same as one by one, with work in proportion to their number."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import pytest

from ingest.cache.manifest import Held
from ingest.cache.manifest.records import Projection
from ingest.market.patterns import covered, covers
from ingest.tracked import lists

FIRST = date(2020, 1, 1)


class _Counted(dict):
    """Counts its iterations."""

    seen = 0

    def __iter__(self) -> Iterator:
        for one in super().__iter__():
            self.seen += 1
            yield one

    def items(self) -> Iterator:
        return ((key, self[key]) for key in self)


@dataclass(frozen=True, slots=True)
class _Csvs:
    known: _Counted

    def states(self) -> _Counted:
        return self.known


@dataclass(frozen=True)
class _Sessions:
    known: _Counted

    def all(self) -> _Counted:
        return self.known


@dataclass(frozen=True)
class _Manifest:
    csvs: _Csvs
    sessions: _Sessions


def _manifest(names: list[str], sets: list[frozenset[str]], sessions: int) -> _Manifest:
    known = {name: Projection(name, rows=n, first="2020-01-01", last="2020-02-01") for n, name in enumerate(names)}
    states = {FIRST + timedelta(days=n): Held("committed", tracked=sets[n % len(sets)]) for n in range(sessions)}
    return _Manifest(_Csvs(_Counted(known)), _Sessions(_Counted(states)))


@pytest.mark.parametrize("names", [["T00007"], ["T*"], ["T00007", "T0000?", "*9"]])
def test_names_are_listed_with_few_looks_at_the_others(names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [0]

    def counting(tracked: frozenset[str], name: str) -> bool:
        calls[0] += 1
        return covers(tracked, name)

    monkeypatch.setattr(lists, "covers", counting)
    many = [f"T{n:05}" for n in range(400)]
    manifest = _manifest(many, [frozenset(many[:200]), frozenset(many)], 600)
    found = lists._held(manifest, [*names, *many])  # type: ignore[arg-type]
    assert len(found) == len(names) + 400
    assert manifest.csvs.known.seen <= 400
    assert manifest.sessions.known.seen <= 600
    assert calls[0] == 2 * (len(names) + 400)
    assert [one.missing for one in found[-400:]] == [0] * 200 + [300] * 200


def test_each_name_is_listed_as_if_alone() -> None:
    rng = random.Random(5)
    for _ in range(200):
        names = sorted({"".join(rng.choices("ABC", k=rng.randint(1, 4))) for _ in range(12)})
        patterns = ["".join(rng.choices("ABC*?", k=rng.randint(1, 4))) for _ in range(4)]
        sets = [frozenset(rng.sample([*names, *patterns], 5)) for _ in range(3)]
        manifest = _manifest(names[::2], sets, 9)
        for one in lists._held(manifest, [*names, *patterns]):  # type: ignore[arg-type]
            meant = covered(frozenset({one.ticker}), frozenset(manifest.csvs.known))
            missing = [day for day, held in manifest.sessions.known.items() if not covers(held.tracked, one.ticker)]
            assert one.rows == sum(manifest.csvs.known[name].rows or 0 for name in meant)
            assert one.matches in (None, len(meant))
            span = (min(missing, default=None), max(missing, default=None))
            assert (one.missing, one.missing_first, one.missing_last) == (len(missing), *span)
