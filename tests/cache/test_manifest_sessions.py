"""Sessions in the manifest: what a commit stores, what the source said, and which tickers split them."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manifest_kit import DATASET, DAY, INDEX, LAST, NEXT, correction, quarantine, raw, session_record

from ingest.cache.manifest import Held, Manifest
from ingest.errors import CacheError
from ingest.finding import Finding


class TestCommit:
    def test_it_commits_a_session(self, manifest: Manifest) -> None:
        manifest.sessions.commit([session_record(manifest, DAY, "e1", "B", "A")], [], 1)
        assert manifest.sessions.all() == {
            DAY: Held("committed", "listed", etag="e1", tracked=frozenset("AB"), archive_kept=True)
        }
        assert manifest.sessions.pending() == {DAY}
        assert manifest.sessions.totals().source_rows == 10

    def test_the_whole_record_is_stored(self, manifest: Manifest, path: Path) -> None:
        finding = Finding("identical repeat", 1, ("A",))
        record = replace(session_record(manifest), findings=(finding,))
        manifest.sessions.commit([record], [], 1)
        elsewhere = ("tracked_index", "archive_index", "findings")
        names = [field.name for field in fields(record) if field.name not in elsewhere]
        (row,) = raw(path, f"SELECT {', '.join(names)}, run, committed_at FROM sessions")
        stored = dict(zip([*names, "run", "committed_at"], row, strict=True))
        assert stored.pop("committed_at")
        assert stored.pop("run") == 1
        assert json.loads(str(stored.pop("columns"))) == ["ticker", "close"]
        assert list(manifest.findings.between()) == [(DAY, finding)]
        assert stored == {name: getattr(record, name) for name in stored} | {"session": "2024-01-02"}

    def test_parts_can_be_read_after_it(self, manifest: Manifest) -> None:
        manifest.sessions.commit(
            [session_record(manifest, NEXT, "e1", "A"), session_record(manifest, DAY, kept=False)], [], 1
        )
        second, first = manifest.sessions.parts([NEXT, LAST, DAY])
        assert (first.session, first.tracked, first.cut, first.columns) == (
            *(NEXT, frozenset("A"), "lines"),
            ("ticker", "close"),
        )
        assert first.index == {"tracked": INDEX, "archive": INDEX}
        assert (second.session, second.index) == (DAY, {"tracked": INDEX})

    def test_a_replacement_without_an_archive_forgets_the_old_ones_index(self, manifest: Manifest) -> None:
        manifest.sessions.commit([session_record(manifest)], [], 1)
        manifest.sessions.commit([session_record(manifest, DAY, "e2", kept=False)], [], 1)
        (parts,) = manifest.sessions.parts([DAY])
        assert set(parts.index) == {"tracked"}

    def test_it_clears_what_the_source_refused_before(self, manifest: Manifest) -> None:
        quarantine(manifest, DAY, "e0")
        manifest.sessions.answered([(NEXT, "failed", "reset", "e1")], 1)
        manifest.sessions.commit([session_record(manifest), session_record(manifest, NEXT)], [], 1)
        expected = Held("committed", "listed", etag="e1", archive_kept=True)
        assert list(manifest.sessions.all().values()) == [expected, expected]

    def test_it_keeps_corrections_and_drops_the_intent(self, manifest: Manifest, path: Path) -> None:
        manifest.replacements.intend([(session_record(manifest), correction()), (session_record(manifest, NEXT), None)])
        manifest.sessions.commit([session_record(manifest, DAY, "e2")], [correction()], 1)
        assert [record.session for record, _ in manifest.replacements.intents()] == [NEXT]
        assert manifest.sessions.totals().corrections == 1
        stored = raw(path, "SELECT session, old_etag, new_etag, columns, removed, added, run FROM corrections")
        assert stored == [("2024-01-02", "e1", "e2", '["ticker", "close"]', '["A,1"]', '["A,2", "B,1"]', 1)]

    def test_sessions_come_in_the_order_of_their_dates(self, manifest: Manifest) -> None:
        manifest.sessions.commit([session_record(manifest, day) for day in (LAST, DAY, NEXT)], [], 1)
        assert manifest.sessions.committed() == list(manifest.sessions.all()) == [DAY, NEXT, LAST]


class TestAnswers:
    def test_they_do_not_change_what_is_stored(self, manifest: Manifest) -> None:
        manifest.sessions.commit([session_record(manifest, DAY, "e1", "A")], [], 1)
        manifest.sessions.answered([(DAY, "forbidden", "not in the plan", "e2"), (NEXT, "failed", "reset", "e9")], 1)
        assert manifest.sessions.all() == {
            DAY: Held("committed", "forbidden", "not in the plan", "e2", "e1", frozenset("A"), archive_kept=True),
            NEXT: Held("none", "failed", "reset", "e9"),
        }

    def test_one_without_an_etag_keeps_the_etag_of_the_last_one(self, manifest: Manifest) -> None:
        manifest.sessions.answered([(DAY, "forbidden", None, "e1")], 1)
        manifest.sessions.answered([(DAY, "absent", None, None)], 1)
        assert manifest.sessions.all()[DAY] == Held("none", "absent", None, "e1")

    def test_without_answers_there_is_no_transaction(self, path: Path) -> None:
        with Manifest.open(path, DATASET):
            pass
        with Manifest.read(path, DATASET) as reader:
            reader.sessions.answered([], 1)

    def test_a_state_that_does_not_exist_is_refused(self, manifest: Manifest) -> None:
        with pytest.raises(CacheError, match="CHECK"):
            manifest.sessions.answered([(DAY, "perhaps", None, None)], 1)  # type: ignore[list-item]

    def test_an_unreadable_file_is_quarantined(self, manifest: Manifest) -> None:
        quarantine(manifest, DAY, "e1")
        assert manifest.sessions.all() == {DAY: Held("quarantined", "listed", "short", "e1", quarantined="e1")}
        assert manifest.sessions.committed() == []

    def test_an_unreadable_replacement_leaves_the_stored_session(self, manifest: Manifest) -> None:
        manifest.sessions.commit([session_record(manifest)], [], 1)
        quarantine(manifest, DAY, "e2")
        assert manifest.sessions.all()[DAY] == Held(
            "committed", "listed", "short", "e2", "e1", archive_kept=True, quarantined="e2"
        )
        assert manifest.sessions.committed() == [DAY]

    def test_a_session_that_failed_before_is_still_quarantined(self, manifest: Manifest) -> None:
        manifest.sessions.answered([(DAY, "failed", "reset", "e1")], 1)
        quarantine(manifest, DAY, "e1")
        assert manifest.sessions.all()[DAY] == Held("quarantined", "listed", "short", "e1", quarantined="e1")

    def test_a_damaged_session_stays_committed_without_an_etag(self, manifest: Manifest) -> None:
        manifest.sessions.commit([session_record(manifest), session_record(manifest, NEXT)], [], 1)
        manifest.replacements.intend([(session_record(manifest, DAY, "e2"), None)])
        manifest.replacements.distrust([DAY])
        assert [state.etag for state in manifest.sessions.all().values()] == [None, "e1"]
        assert manifest.sessions.committed() == [DAY, NEXT]
        assert manifest.replacements.intents() == []

    def test_they_are_counted_by_state_and_reason(self, manifest: Manifest) -> None:
        manifest.sessions.answered([(day, "forbidden", None, "e1") for day in (DAY, NEXT)], 1)
        quarantine(manifest, LAST, "e1")
        found = [(c.held, c.remote, c.reason, c.count, c.first, c.last) for c in manifest.sessions.counts()]
        assert found == [
            ("none", "forbidden", None, 2, DAY, NEXT),
            ("quarantined", "listed", "short", 1, LAST, LAST),
        ]


class TestTrackedSets:
    @given(st.lists(st.frozensets(st.sampled_from(["A", "BRK.A", "BCpC", "BCPC", "NA"])), min_size=1, max_size=5))
    def test_a_set_has_one_number_and_a_number_one_set(self, sets: list[frozenset[str]]) -> None:
        with Manifest.read(Path("there is none"), DATASET) as manifest:  # in memory, and writable
            numbers = {tickers: manifest.tracked_sets.number(tickers) for tickers in sets}
            assert len(set(numbers.values())) == len(set(sets))
            assert all(manifest.tracked_sets.tickers(number) == tickers for tickers, number in numbers.items())
            assert {tickers: manifest.tracked_sets.number(tickers) for tickers in sets} == numbers
