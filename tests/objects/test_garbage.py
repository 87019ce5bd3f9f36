"""Which objects are garbage: decided from what was seen, with no store behind it."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

from ingest.cache.objects.collecting.garbage import Decision, Seen, decide
from ingest.cache.objects.listing import Stored
from ingest.cache.objects.naming import ObjectName, object_name
from ingest.market.datasets import Tier

DATASET = "us_stocks_sip/day_aggs_v1"
DAY, NEXT = date(2025, 3, 3), date(2025, 3, 4)
NOW = datetime(2025, 6, 1, 2, tzinfo=UTC)
KEEP = timedelta(hours=24)
HOUR = timedelta(hours=1)


def name(digit: str, session: date = DAY, tier: Tier = "archive", dataset: str = DATASET) -> str:
    return object_name(tier, dataset, str(ObjectName.of(session, digit * 64)))


A, B, C, T = name("a"), name("b"), name("c"), name("d", tier="tracked")


def stored(one: str, age: timedelta) -> Stored:
    return Stored(one, 10, "e", NOW - age)


def decided(
    names: Iterable[str],
    wanted: Collection[str] = (),
    unwanted: Mapping[str, timedelta] | None = None,
    spared: Collection[date] = (),
    age: timedelta = timedelta(days=400),
) -> Decision:
    """The decision about objects put `age` ago, some of them `unwanted` for so long."""
    since = {one: NOW - told for one, told in (unwanted or {}).items()}
    return decide(Seen(DATASET, {one: stored(one, age) for one in names}, wanted, since, NOW), KEEP, spared)


def removed(decision: Decision) -> list[str]:
    return [one.name for one in decision.garbage]


def test_what_is_replaced_becomes_unwanted_now_however_old_it_is() -> None:
    assert decided([A, B], [B]) == Decision(unwanted={A: NOW})


def test_what_nobody_wanted_for_long_enough_is_garbage() -> None:
    decision = decided([A, B, C, T], [B], {A: KEEP, C: KEEP - HOUR, T: KEEP + HOUR})
    assert removed(decision) == [A, T]
    assert decision.unwanted == {A: NOW - KEEP, C: NOW - KEEP + HOUR, T: NOW - KEEP - HOUR}


def test_what_is_wanted_again_is_not_unwanted() -> None:
    assert decided([A, B], [A, B], {A: 3 * KEEP}) == Decision(wanted=frozenset({A}))


def test_what_is_gone_is_forgotten() -> None:
    assert decided([B], [B], {A: 3 * KEEP}) == Decision(gone=frozenset({A}))


def test_what_was_put_again_a_moment_ago_stays() -> None:
    decision = decided([A, B], [B], {A: 3 * KEEP}, age=KEEP - HOUR)
    assert (removed(decision), decision.unwanted) == ([], {A: NOW - 3 * KEEP})


def test_what_the_run_may_download_again_stays() -> None:
    other = name("a", NEXT)
    decision = decided([A, other], [], {A: 3 * KEEP, other: 3 * KEEP}, spared=[DAY])
    assert (removed(decision), set(decision.unwanted)) == ([other], {A, other})


def test_what_may_be_all_that_is_left_of_a_session_stays() -> None:
    old = {A: 3 * KEEP, T: 3 * KEEP}
    assert removed(decided([A, T], [B], old)) == []
    assert removed(decided([A, T, B], [B], old)) == [A, T]


def test_a_clock_that_was_ahead_keeps_nothing_for_longer() -> None:
    assert decided([A], [], {A: -300 * KEEP}).unwanted == {A: NOW}


def test_other_names_are_left_alone() -> None:
    others = [
        "ingest.json",
        A.replace("archive/", "manifest/"),
        A.replace("archive/", "archive/backup/"),
        A.replace(f"{DATASET}/", f"{DATASET}/backup/"),
        name("a", dataset="us_stocks_sip/minute_aggs_v1"),
        name("a", dataset=f"{DATASET}x"),
        A.replace(DATASET, ""),
        A.rpartition("/")[2],
        A + ".bak",
        A.replace("aaaa", "AAAA"),
        A.replace("2025-03-03", "2025-02-30"),
        object_name("archive", DATASET, f"{DAY}.csv.gz"),
    ]
    assert decided(others, [], dict.fromkeys(others, 3 * KEEP)) == Decision()
