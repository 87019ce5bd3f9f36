"""Whole runs with wrong keys, without keys, and with a source that is down."""

import socket

import pytest
from pipeline_kit import Place, window, write_keys
from runs_kit import DAYS, SPAN, dates

from ingest import events
from ingest.demo.servers import seaweed as weed
from ingest.errors import Disrupted, SourceRefused, UsageError


@pytest.mark.parametrize("wrong", ["access", "secret"])
def test_wrong_keys_stop_at_once_with_one_message(filled, keys, tmp_path, wrong):
    pair = ("UNKNOWN", keys.secret_key) if wrong == "access" else (keys.access_key, "not the secret at all")
    write_keys(tmp_path / "credentials", *pair)
    ran = filled.run(*SPAN, fails=SourceRefused)
    assert (ran.finished.exit_code, len(ran.wire.sent), ran.of(events.Retrying)) == (4, 1, [])
    done = filled.cli("run", "--start", SPAN[0], "--end", SPAN[1])
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert done.stderr.startswith("error: ")
    assert pair[1] not in done.stderr + done.stdout


def test_keys_that_are_revoked_midway_stop_the_run_and_keep_what_was_committed(filled_here, own_keys, seaweed):
    def revoke(event):
        if isinstance(event, events.Fetched):
            seaweed.permit(
                weed.Identity(own_keys.name, "OTHER" + own_keys.access_key, own_keys.secret_key, own_keys.actions)
            )

    ran = filled_here.run(*SPAN, sink=revoke, fails=SourceRefused, concurrency=1)
    assert ran.finished.exit_code == 4
    assert 1 <= ran.finished.committed == len(ran.committed) < 8
    assert ran.finished.not_attempted == 8 - ran.finished.committed
    assert list(filled_here.csv("AAPL")) == dates(ran.committed)


@pytest.mark.parametrize(
    "credentials",
    [
        None,
        "[default]\naws_access_key_id = A\naws_secret_access_key = B\n",
        "[massive]\nregion = us-east-1\n",
        "[massive]\naws_access_key_id = A\n",
        "massive\n",
    ],
    ids=["no file", "no section", "no keys", "no secret", "no credentials file"],
)
def test_a_profile_without_keys_is_explained(filled, tmp_path, credentials):
    file = tmp_path / "credentials"
    file.unlink()
    if credentials is not None:
        file.write_text(credentials)
    ran = filled.run(*SPAN, fails=UsageError)
    assert (ran.error.exit_code, ran.events, filled.root.exists()) == (2, [], False)
    assert str(file) in str(ran.error)
    assert "massive" in str(ran.error)


@pytest.fixture
def closed_url():
    """A loopback port that nobody listens on, reserved meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{holder.getsockname()[1]}"


def test_a_source_that_is_down_ends_the_run_and_what_was_committed_stays(filled, closed_url):
    filled.run(*window(DAYS[:4]))
    (filled.tracked / "AAPL_1d_data.csv").unlink()
    filled.endpoint_url, answering = closed_url, filled.endpoint_url
    done = filled.cli(
        "run", "--start", SPAN[0], "--end", SPAN[1], INGEST_SOURCE__ATTEMPTS="20", INGEST_SOURCE__DOWN_AFTER_S="1"
    )
    assert done.returncode == 4
    assert "has not answered for 1 s" in done.stderr
    assert list(filled.csv("AAPL")) == dates(DAYS[:4])
    filled.endpoint_url = answering
    assert filled.run(*SPAN).gets == DAYS[4:]


def test_no_more_attempts_than_are_set(filled, closed_url):
    ran = Place(filled.root, closed_url).run(*SPAN, attempts=2, fails=Disrupted)
    assert (len(ran.wire.sent), ran.finished.exit_code, len(ran.of(events.Retrying))) == (2, 4, 1)
