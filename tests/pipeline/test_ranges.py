"""Ranges of large files, as the real server serves them."""

from datetime import date

import pytest
from botocore.exceptions import ClientError
from large_kit import shrink, tag_of
from pipeline_kit import key, market_day, packed_day
from runs_kit import DAYS

from ingest import events
from ingest.sources.massive import ranges

DAY, OTHER = DAYS[0], date(2025, 6, 2)
SPAN = (DAY, DAY)
KEY, SIZE = key(DAY), len(packed_day(DAY))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    shrink(monkeypatch)


def test_a_real_server_serves_ranges_of_what_is_replaced_meanwhile(filled_here, seaweed, bucket):
    """SeaweedFS honours If-Match (412), but not If-Range."""
    replaced = []

    def replace(event):
        if isinstance(event, events.Downloading) and not replaced:
            replaced.append(seaweed.put(bucket, KEY, packed_day(OTHER)))

    ran = filled_here.run(*SPAN, sink=replace, concurrency=1)
    assert (ran.finished.exit_code, ran.finished.committed) == (0, 1)
    assert filled_here.reassembled(DAY) == market_day(OTHER)
    assert [event.session for event in ran.of(events.Retrying)] == [DAY]
    assert list((filled_here.root / "spool").iterdir()) == []


def test_a_real_server_answers_conditions_so(seaweed, library, keys):
    client = seaweed.server.client(keys)
    ranges.accept_if_range(client)
    client.meta.config.parameter_validation = False
    asked = {"Bucket": library, "Key": KEY, "Range": "bytes=10-19"}
    tag, stale = tag_of(packed_day(DAY)), tag_of(b"what was there before")
    for conditions in ({"IfMatch": tag}, {"IfRange": tag}, {"IfMatch": tag, "IfRange": tag}, {"IfRange": stale}):
        answer = client.get_object(**asked, **conditions)
        assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["ETag"]) == (206, tag)
        assert answer["ContentRange"] == f"bytes 10-19/{SIZE}"
        assert answer["Body"].read() == packed_day(DAY)[10:20]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.get_object(**asked, IfMatch=stale)
