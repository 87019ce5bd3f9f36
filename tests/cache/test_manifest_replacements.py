"""Intents to replace survive the run that wrote them."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from manifest_kit import DATASET, DAY, NEXT, correction, session_record

from ingest.cache.manifest import Manifest, SessionRecord
from ingest.cache.manifest.integrity import codec
from ingest.finding import Finding
from ingest.splitting.diff import Correction

texts = st.text(max_size=20)
lines = st.lists(texts, max_size=4).map(tuple)
counts = st.integers(0)
records = st.builds(
    SessionRecord,
    session=st.dates(),
    etag=texts,
    **dict.fromkeys(("size", "source_rows", "tracked_rows", "archive_rows", "dropped_rows"), counts),
    cut=st.sampled_from(["lines", "polars"]),
    columns=lines,
    findings=st.lists(st.builds(Finding, texts, st.integers(1), lines), max_size=3).map(tuple),
    tracked_row_numbers=st.binary(max_size=20),
    tracked_index=st.binary(max_size=20),
    archive_index=st.none() | st.binary(max_size=20),
    archive_sha256=st.none() | texts,
    archive_kept=st.booleans(),
)
kinds = st.sampled_from(["new etag", "same etag", "equal rows"])
corrections = st.builds(Correction, st.dates(), texts, texts, lines, lines, lines, kinds, lines)


class TestIntents:
    @given(records)
    def test_a_record_survives_as_json(self, record: SessionRecord) -> None:
        assert codec.session_record(codec.to_json(record)) == record

    @given(corrections)
    def test_a_correction_survives_as_json(self, correction: Correction) -> None:
        assert codec.decode_correction(codec.to_json(correction)) == correction

    def test_they_survive_the_run_that_wrote_them(self, path: Path) -> None:
        with Manifest.open(path, DATASET) as manifest:
            intents = [
                (session_record(manifest, DAY, "e2"), correction()),
                (session_record(manifest, NEXT, kept=False), None),
            ]
            manifest.replacements.intend(intents)
        with Manifest.open(path, DATASET) as manifest:
            assert manifest.replacements.intents() == intents
            assert manifest.sessions.committed() == []

    def test_a_later_one_takes_the_place_of_an_earlier(self, manifest: Manifest) -> None:
        manifest.replacements.intend([(session_record(manifest, DAY, "e2"), correction())])
        manifest.replacements.intend([(session_record(manifest, DAY, "e3"), None)])
        assert manifest.replacements.intents() == [(session_record(manifest, DAY, "e3"), None)]
