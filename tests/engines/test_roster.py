"""Which workers may get tasks, by what a scheduler says of them."""

from ingest.engines.roster import SILENT_S, Roster


def told(**last_seen):
    return {name: {"nthreads": 2, "last_seen": seen, "status": "running"} for name, seen in last_seen.items()}


def test_a_worker_gets_tasks_once_it_was_looked_over():
    roster = Roster().seen(told(a=1.0, b=1.0), {})
    assert roster.unknown == ["a", "b"]
    assert roster.places == 0
    roster = roster.looked_over({"a"}, {"b"})
    assert (roster.unknown, roster.usable, roster.places) == ([], ["a"], 2)
    assert roster.to_choose() == ["a"]


def test_the_scheduler_chooses_while_all_workers_are_fit():
    roster = Roster().seen(told(a=1.0, b=1.0), {}).looked_over({"a", "b"}, ())
    assert roster.to_choose() == []


def test_a_worker_that_is_silent_while_others_are_not_gets_no_tasks():
    roster = Roster().seen(told(a=100.0, b=100.0 - SILENT_S - 1), {}).looked_over({"a", "b"}, ())
    assert (roster.places, roster.to_choose()) == (2, ["a"])
    assert roster.seen(told(a=101.0, b=101.0), {}).to_choose() == []


def test_a_worker_that_comes_back_under_its_address_is_looked_over_again():
    roster = Roster().seen(told(a=1.0), {}).looked_over({"a"}, ()).seen(told(b=1.0), {}).seen(told(a=2.0), {})
    assert roster.unknown == ["a"]


def test_a_double_goes_to_another_worker_if_there_is_one():
    roster = Roster().seen(told(a=1.0, b=1.0), {"a": ("task",), "b": ()}).looked_over({"a", "b"}, ())
    assert roster.to_choose("task") == ["b"]
    alone = Roster().seen(told(a=1.0), {"a": ("task",)}).looked_over({"a"}, ())
    assert alone.to_choose("task") == ["a"]


def test_a_worker_that_is_closing_has_no_places():
    roster = Roster().seen({"a": {"nthreads": 2, "last_seen": 1.0, "status": "closing_gracefully"}}, {})
    assert (roster.unknown, roster.places) == ([], 0)
