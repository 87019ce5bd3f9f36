"""Tracked CSVs in the manifest: which are active, and which have to be rebuilt."""

from dataclasses import replace

from manifest_kit import DAY, NEXT, session_record

from ingest.cache.manifest import Manifest
from ingest.cache.manifest.records import FORMAT, Projection


class TestProjections:
    def _made(self, ticker: str = "A") -> Projection:
        return Projection(ticker, True, False, "2024-01-02", "2024-01-03", 2, "sha", 99, 123, format=FORMAT)

    def test_those_followed_are_active_and_new_ones_dirty(self, manifest: Manifest) -> None:
        manifest.csvs.follow(["B", "A"])
        assert manifest.csvs.states() == {"A": Projection("A"), "B": Projection("B")}

    def test_one_that_was_made_is_clean_until_the_next_commit(self, manifest: Manifest) -> None:
        manifest.csvs.follow(["A", "B"])
        manifest.sessions.commit([session_record(manifest)], [], 1)
        manifest.csvs.projected([self._made()], [DAY])
        assert manifest.csvs.states() == {"A": self._made(), "B": Projection("B")}
        assert manifest.sessions.pending() == frozenset()
        manifest.sessions.commit([session_record(manifest, NEXT)], [], 1)
        assert manifest.csvs.states()["A"] == replace(self._made(), dirty=True)
        assert manifest.sessions.pending() == {NEXT}

    def test_following_the_same_again_changes_nothing(self, manifest: Manifest) -> None:
        manifest.csvs.follow(["A"])
        manifest.csvs.projected([self._made()], [])
        manifest.csvs.follow(["A"])
        assert manifest.csvs.states() == {"A": self._made()}

    def test_one_that_leaves_is_kept_and_one_that_comes_back_is_rebuilt(self, manifest: Manifest) -> None:
        manifest.csvs.follow(["A"])
        manifest.csvs.projected([self._made()], [])
        manifest.csvs.follow(["B"])
        assert manifest.csvs.states()["A"] == replace(self._made(), active=False)
        manifest.sessions.commit([session_record(manifest)], [], 1)
        manifest.csvs.follow(["A"])
        assert manifest.csvs.states() == {"A": Projection("A"), "B": Projection("B", active=False)}

    def _month(self, period: str, ticker: str = "A") -> Projection:
        first, last = f"{period}-02 09:30:00-05:00", f"{period}-03 16:00:00-05:00"
        return Projection(ticker, True, False, first, last, 780, f"sha {period}", 99, 123, period=period, format=FORMAT)

    def test_months_of_a_ticker_stand_beside_it(self, manifest: Manifest) -> None:
        manifest.csvs.follow(["A", "B"])
        months = [self._month("2024-01"), self._month("2024-02"), self._month("2024-01", "B")]
        manifest.csvs.projected([*months, replace(self._made(), rows=1560)], [DAY])
        assert manifest.csvs.months() == {(row.ticker, row.period): row for row in months}
        assert manifest.csvs.states() == {"A": replace(self._made(), rows=1560), "B": Projection("B")}
        changed = replace(months[0], sha256="new", rows=790)
        manifest.csvs.projected([changed], [])
        assert manifest.csvs.months()["A", "2024-01"] == changed
        assert manifest.csvs.months()["A", "2024-02"] == months[1]

    def test_a_commit_makes_the_month_of_its_session_dirty_and_no_other(self, manifest: Manifest) -> None:
        manifest.csvs.follow(["A"])
        manifest.csvs.projected([self._month("2024-01"), self._month("2024-02"), self._made()], [])
        manifest.sessions.commit([session_record(manifest, DAY)], [], 1)
        assert {period: row.dirty for (_, period), row in manifest.csvs.months().items()} == {
            "2024-01": True,
            "2024-02": False,
        }
        assert manifest.csvs.states()["A"].dirty

    def test_one_that_leaves_and_comes_back_has_its_months_rebuilt(self, manifest: Manifest) -> None:
        manifest.csvs.follow(["A", "B"])
        months = [self._month("2024-01"), self._month("2024-02"), self._month("2024-01", "B")]
        manifest.csvs.projected(months, [])
        manifest.csvs.follow(["B"])
        manifest.sessions.commit([session_record(manifest, DAY)], [], 1)
        gone = [replace(row, active=False) for row in months[:2]]
        assert list(manifest.csvs.months().values()) == [*gone, replace(months[2], dirty=True)]
        manifest.csvs.follow(["A", "B"])
        assert list(manifest.csvs.months().values()) == [replace(row, dirty=True) for row in months]

    def test_one_month_is_forgotten_alone(self, manifest: Manifest) -> None:
        manifest.csvs.follow(["A"])
        manifest.csvs.projected([self._month("2024-01"), self._month("2024-02"), self._made()], [])
        manifest.csvs.forget([("A", "2024-02")])
        assert manifest.csvs.months() == {
            ("A", "2024-01"): self._month("2024-01"),
            ("A", "2024-02"): Projection("A", period="2024-02"),
        }
        assert manifest.csvs.states() == {"A": self._made()}
        manifest.csvs.forget([("A", "")])
        assert manifest.csvs.states() == {"A": Projection("A")}

    def test_a_replaced_session_is_projected_again(self, manifest: Manifest) -> None:
        manifest.sessions.commit([session_record(manifest)], [], 1)
        manifest.csvs.projected([], [DAY])
        assert manifest.sessions.pending() == frozenset()
        manifest.sessions.commit([session_record(manifest, DAY, "e2")], [], 1)
        assert manifest.sessions.pending() == {DAY}
