"""Whole runs with keys whose subscription does not cover all files, or no longer, or not yet."""

from datetime import date

from pipeline_kit import flat, key, market_objects, trading_days, window
from runs_kit import DAYS, ROWS, SPAN, dates

from ingest import events
from ingest.demo.servers import seaweed as weed


def test_a_forbidden_newest_month_is_no_error_and_is_fetched_when_it_opens(place, seaweed, bucket, own_keys):
    days = trading_days(date(2025, 3, 25), 20)
    objects = market_objects(days)
    seaweed.fill(bucket, objects.items())
    april = [day for day in days if day.month == 4]
    seaweed.permit(own_keys, *weed.reader_actions(bucket, objects, {key(day) for day in april}))

    ran = place.run(*window(days))
    march = [day for day in days if day not in april]
    assert ran.gets == march
    assert (ran.finished.exit_code, ran.finished.committed, ran.finished.forbidden) == (0, 5, 15)
    assert ran.of(events.Forbidden) == []  # found by requests of one byte
    assert ran.of(events.Retrying) == []
    assert place.state(april[3]) == ("none", "forbidden")

    again = place.run(*window(days))
    assert (again.gets, again.probes) == ([], [march[0], march[-1], april[0], april[1], april[-1]])
    assert (again.finished.exit_code, again.finished.committed, again.finished.forbidden) == (0, 5, 15)

    # The subscription rolls on by one day: the run finds its new edge and downloads the day.
    seaweed.permit(own_keys, *weed.reader_actions(bucket, objects, {key(day) for day in april[1:]}))
    rolled = place.run(*window(days))
    assert rolled.gets == [april[0]]
    assert (rolled.committed, rolled.finished.forbidden) == ([april[0]], 14)

    seaweed.permit(own_keys, *weed.reader_actions(bucket, objects, []))
    opened = place.run(*window(days))
    assert sorted(opened.gets) == opened.committed == april[1:]
    assert (opened.finished.committed, opened.finished.forbidden, opened.finished.exit_code) == (20, 0, 0)
    assert list(place.csv("AAPL")) == dates(days)


def test_a_forbidden_replacement_leaves_the_stored_session(filled_here, seaweed, bucket, own_keys, put):
    filled_here.run(*SPAN)
    before = filled_here.tiers()
    put(DAYS[3], flat(ROWS))
    seaweed.permit(own_keys, *weed.reader_actions(bucket, map(key, DAYS), {key(DAYS[3])}))
    ran = filled_here.run(*SPAN)
    assert (ran.gets, ran.finished.exit_code, ran.finished.committed) == ([DAYS[3]], 0, 8)
    assert filled_here.tiers() == before
    assert filled_here.state(DAYS[3]) == ("committed", "forbidden")
    seaweed.permit(own_keys, *weed.reader_actions(bucket, map(key, DAYS), []))
    assert filled_here.run(*SPAN, accept=True).committed == [DAYS[3]]
    assert filled_here.reassembled(DAYS[3]) == flat(ROWS)
