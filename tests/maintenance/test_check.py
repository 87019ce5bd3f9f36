"""`ingest check`: everything is fine, and each thing that may be wrong, with its advice."""

import json
import ssl
from dataclasses import replace
from datetime import date, timedelta

import anyio
import pytest
import trustme
from pipeline_kit import Place, key, market_objects, pack, trading_days, write_keys
from tuning_kit import tune

from ingest import events
from ingest.cache import lock
from ingest.cache.manifest import Manifest
from ingest.cli.rendering.words import summary
from ingest.demo.servers import answering, faults, loopback
from ingest.demo.servers.faults import FlipByte, ResetBefore, Status
from ingest.errors import Disrupted, IngestError, SourceRefused
from ingest.maintenance.check import check
from ingest.market.calendars import today
from ingest.market.catalogue import named
from ingest.market.permission import Permission

DAYS = trading_days(date(2025, 3, 3), 20)
NAMES = ["settings", "cache", "keys", "connection", "clock", "listing", "plan", "download", "yahoo"]


@pytest.fixture(autouse=True)
def surroundings(loopback_keys, monkeypatch):
    tune(monkeypatch, longest_wait_s=0.01)
    monkeypatch.setattr("ingest.sources.yahoo.newest_at_yahoo", lambda: DAYS[-1])


def found(place, **settings):
    """All results by name."""
    results = []
    anyio.run(check, place.settings(**settings), results.append)
    return {one.name: one for one in results}


def serving(**named):
    return loopback.serve(market_objects(DAYS), **named)


def failing(results):
    return [name for name, one in results.items() if not one.passed]


def test_where_all_is_well_everything_passes_and_nothing_is_written(tmp_path):
    with serving() as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url))
    assert (list(results), failing(results)) == (NAMES, [])
    assert results["listing"].found.startswith(f"20 files, {DAYS[0]} to {DAYS[-1]}")
    assert results["plan"].found == f"{DAYS[0]} to {DAYS[-1]}: all that is listed, as Advanced and Business have it"
    assert results["download"].found.startswith(f"{DAYS[-1]}: 2")
    assert not (tmp_path / "cache").exists()


def test_what_the_plan_allows_is_kept_for_the_next_run(tmp_path):
    with serving(forbidden={key(day) for day in DAYS[:7]}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(DAYS[10], DAYS[12])
        results = found(place)
        with Manifest.read(place.settings().manifest_path, "us_stocks_sip/day_aggs_v1") as manifest:
            assert manifest.source.permission() == Permission(DAYS[7], DAYS[-1], DAYS[6])
        # Probes whether the known span is still right; no search.
        assert place.run(DAYS[0], DAYS[-1]).probes == [DAYS[7], DAYS[-1], DAYS[5], DAYS[6]]
    assert (failing(results), results["cache"].found.partition(": ")[2][:17]) == ([], "3 sessions stored")


@pytest.mark.parametrize(("years", "plan"), [(2, "2 years back, as Starter has it"), (4, "4 years back, as Developer")])
def test_a_plan_of_options_is_known_by_its_own_history(tmp_path, years, plan):
    options, now = named("options-day"), today()
    first = date(now.year - years, now.month, min(now.day, 28))
    days = [one for back in range(5 * 12) for one in [date(now.year - 1 - back // 12, 12 - back % 12, 15)]]
    file = pack(b"ticker,volume,open,close,high,low\nO:SPY,1,1,1,1,1\n")
    listed = {options.key(day): file for day in (*days, first, first - timedelta(days=1))}
    outside = {options.key(day) for day in days if day < first} | {options.key(first - timedelta(days=1))}
    with loopback.serve(listed, forbidden=outside) as server:
        results = []
        settings = Place(tmp_path / "cache", server.endpoint_url).settings()
        anyio.run(check, settings, results.append, [options])
    (found,) = [one.found for one in results if one.name == "plan"]
    assert plan in found


def test_missing_files_are_reported(tmp_path):
    with serving() as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(DAYS[0], DAYS[3])
        place.part(DAYS[1], "archive").unlink()
        results = found(place)
    assert "4 sessions stored, files missing or damaged: 1" in results["cache"].found


def test_a_run_that_holds_the_cache_is_not_disturbed(tmp_path):
    with serving() as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(DAYS[0], DAYS[1])
        with lock.hold(place.root):
            assert failing(found(place)) == []


def test_a_cache_that_cannot_be_read_stops_no_other_check(tmp_path):
    with serving() as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(DAYS[0], DAYS[1])
        place.execute("PRAGMA user_version = 99")
        results = found(place)
    assert (list(results), failing(results)) == (NAMES, ["cache"])
    assert "newer version of ingest" in results["cache"].found


def test_a_profile_without_keys_says_what_to_write(tmp_path):
    with serving() as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url), profile="other")
    assert (list(results), failing(results)) == (["settings", "cache", "keys", "yahoo"], ["keys"])
    assert "aws_access_key_id = YOUR_ACCESS_KEY" in results["keys"].advice


@pytest.mark.parametrize(
    ("access_key", "words"),
    [
        ("X" * 32, "key of the REST API"),
        ("AKIA" + "X" * 16, "an AWS key"),
        ("YOUR-ACCESS-KEY", "take the S3 keys"),
    ],
)
def test_keys_of_another_kind_are_recognised_where_they_are_refused(tmp_path, loopback_keys, access_key, words):
    write_keys(loopback_keys, access_key)
    with serving(access_keys={"KEY"}) as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url))
    assert failing(results) == ["connection"]
    said = f"{results['connection'].found} {results['connection'].advice}"
    assert words in said
    assert access_key not in said


def test_a_wrong_clock_is_reported_with_its_error(tmp_path):
    with serving(clock_ahead_s=400) as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url))
    assert failing(results) == ["clock"]
    assert results["clock"].found in {f"this computer's is off by -{n} s" for n in range(395, 405)}


@pytest.mark.parametrize(
    ("date_header", "words"),
    [
        ("yesterday", "does not report its time"),
        ("", "does not report its time"),
        ("Wed, 01 Jan 2020 00:00:00 -0000", "this computer's is off by +"),
    ],
)
def test_a_time_that_cannot_be_read_is_no_error(tmp_path, monkeypatch, date_header, words):
    monkeypatch.setattr(
        loopback.Server, "_dated", lambda self, answer: replace(answer, headers={"Date": date_header, **answer.headers})
    )
    with serving() as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url))
    assert words in results["clock"].found
    assert list(results) == NAMES


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Status(407, "407"), "any proxy in between"),
        (Status(403, "RequestTimeTooSkewed"), "clock is wrong"),
        (Status(403, "AccessDenied"), "may not list the bucket"),
        (Status(403, "SignatureDoesNotMatch"), "does not belong to the access key"),
        (Status(404, "NoSuchBucket"), "[source] bucket"),
        (Status(307, "TemporaryRedirect", (("Location", "http://127.0.0.1:9/"),)), "127.0.0.1:9"),
        (Status(500, "InternalError"), "[source] endpoint_url"),
        (ResetBefore(), "[source] endpoint_url"),
    ],
    ids=lambda value: getattr(value, "s3_code", type(value).__name__) if not isinstance(value, str) else "",
)
def test_a_source_that_refuses_to_list_is_explained(tmp_path, fault, words):
    with serving(faults=faults.always(fault)) as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url))
        assert len(server.requests) <= 12
    assert failing(results) == ["connection"]
    assert words in f"{results['connection'].found} {results['connection'].advice}"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_gateway_that_sends_us_on_to_another_host_is_not_believed(tmp_path, status):
    """The other host refuses a request signed for the first one, which says nothing about the subscription."""
    with loopback.serve({}, bucket="elsewhere") as other, serving() as server:
        there = other.endpoint_url.replace("127.0.0.1", "localhost")
        server.faults = faults.always(Status(status, "Redirect", (("Location", f"{there}/"),)))
        place = Place(tmp_path / "cache", server.endpoint_url)
        results = found(place)
        place.run(DAYS[0], DAYS[-1], fails=SourceRefused)
        assert other.requests == ()
    assert failing(results) == ["connection"]
    assert f"redirects to {there}/, which is not followed" in results["connection"].found


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(tmp_path, monkeypatch):
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with serving(tls=tls) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        results = found(place)
        place.run(DAYS[0], DAYS[1], fails=SourceRefused)
        with authority.cert_pem.tempfile() as bundle:
            monkeypatch.setenv("AWS_CA_BUNDLE", bundle)
            assert failing(found(place)) == []
    assert failing(results) == ["connection"]
    assert "certificate" in results["connection"].found


def test_tls_to_a_port_that_speaks_none_is_not_blamed_on_a_certificate(tmp_path):
    with serving() as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url.replace("http:", "https:")))
    assert failing(results) == ["connection"]
    said = f"{results['connection'].found} {results['connection'].advice}"
    assert ("certificate" in said, "[source] endpoint_url" in said) == (False, True)


def test_an_authority_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with serving() as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url))
        done = Place(tmp_path / "cache", server.endpoint_url).here("run")
    assert failing(results) == ["keys"]
    assert f"AWS_CA_BUNDLE (or ca_bundle) names {tmp_path / 'none.pem'}" in results["keys"].advice
    assert (done.code, "AWS_CA_BUNDLE" in done.err) == (2, True)


@pytest.mark.parametrize(
    "body",
    [b"<html><body>down for maintenance</body></html>", b"<html><body>down<br></html>", b"", b"{}", b"\xff\xfe"],
    ids=["page", "page that is no XML", "nothing", "JSON", "noise"],
)
def test_an_answer_that_is_no_listing_is_not_an_empty_one(tmp_path, monkeypatch, body):
    monkeypatch.setattr(loopback.Server, "_listing", lambda self, query: answering.Answer(200, body, {}))
    with serving() as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        results = found(place)
        place.run(DAYS[0], DAYS[-1], fails=Disrupted, attempts=1)
    assert failing(results) == ["connection"]
    assert "[source] endpoint_url" in f"{results['connection'].found} {results['connection'].advice}"


@pytest.mark.parametrize(
    "profile",
    [
        "credential_process = /no/such/program",
        "credential_process = /bin/false",
        "credential_process = /bin/echo junk",
        "role_arn = arn:aws:iam::123456789012:role/x\nsource_profile = nobody",
        "role_arn = arn:aws:iam::123456789012:role/x\ncredential_source = Nowhere",
        "role_arn = arn:aws:iam::123456789012:role/x\nweb_identity_token_file = /no/such/file",
        "sso_session = nothing\nsso_account_id = 1\nsso_role_name = x",
        "aws_access_key_id = KEY\naws_secret_access_key = x\ns3 = hello",
    ],
)
def test_unavailable_keys_are_explained_whatever_the_profile_says(tmp_path, loopback_keys, monkeypatch, profile):
    config = tmp_path / "config"
    config.write_text(f"[profile massive]\n{profile}\n")
    loopback_keys.write_text("")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    with serving() as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        results = found(place)
        with pytest.raises(IngestError) as caught:
            place.run(DAYS[0], DAYS[0])
    assert set(failing(results)) & {"keys", "connection"}
    assert caught.value.exit_code in (2, 4)
    assert "manifest" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_DEFAULTS_MODE", "junk"),
        ("AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES", "abc"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~nobody-of-this-name/credentials"),
    ],
)
def test_variables_that_make_no_sense_are_no_traceback(tmp_path, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with serving() as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url))
    assert failing(results) == ["keys"]


def test_keys_in_the_other_file_are_said_to_be_there(tmp_path, loopback_keys, monkeypatch):
    config = tmp_path / "config"
    config.write_text(loopback_keys.read_text().replace("[massive]", "[profile massive]").replace("KEY", "X" * 32))
    loopback_keys.write_text("")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    with serving(access_keys={"KEY"}) as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url))
    assert results["keys"].found == f"[massive] in {config}"
    assert "key of the REST API" in results["connection"].advice


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o660])
def test_keys_that_other_users_can_read_are_reported(tmp_path, loopback_keys, mode):
    with serving() as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        loopback_keys.chmod(mode)
        results = found(place)
        loopback_keys.chmod(0o600)
        well = found(place)
    assert failing(results) == []
    assert f"{loopback_keys} (mode {mode:03o}): chmod 600 {loopback_keys}" in results["keys"].advice
    assert well["keys"].advice == ""


def test_the_other_file_counts_where_it_has_keys(tmp_path, loopback_keys, monkeypatch):
    config = tmp_path / "a config"
    config.write_text("[profile massive]\nregion = us-east-1\n")
    config.chmod(0o644)
    loopback_keys.chmod(0o600)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    with serving() as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        assert found(place)["keys"].advice == ""
        config.write_text(loopback_keys.read_text().replace("[massive]", "[profile massive]"))
        assert found(place)["keys"].advice.endswith(f"chmod 600 '{config}'")
        config.chmod(0o000)
        assert "keys" in found(place)


def test_the_three_reasons_of_a_403_are_given(tmp_path):
    reasons = ("subscription or its history", "not published yet", "signed exchange agreement")
    for refused in (DAYS, DAYS[:4], DAYS[-1:]):
        with serving(forbidden={key(day) for day in refused}) as server:
            place = Place(tmp_path / f"cache {len(refused)}", server.endpoint_url)
            advice, ran = found(place)["plan"].advice, place.run(DAYS[0], DAYS[-1])
        assert [words for words in reasons if words not in advice] == []
        (line,) = [value for label, value in summary(ran.finished) if label == "forbidden"]
        assert [words for words in reasons if words not in line] == []


def test_a_plan_without_flat_files(tmp_path):
    with serving(forbidden={key(day) for day in DAYS}) as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url))
    assert failing(results) == ["plan"]
    assert "Basic" in results["plan"].found
    assert "download" not in results


def test_an_empty_bucket(tmp_path):
    with loopback.serve({}) as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url))
    assert failing(results) == ["listing"]


def test_a_file_that_is_damaged(tmp_path):
    objects = market_objects(DAYS)
    objects[key(DAYS[-1])] = objects[key(DAYS[-1])][:-9]
    with loopback.serve(objects) as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url))
    assert failing(results) == ["download"]


def test_a_download_that_fails(tmp_path):
    with serving(faults=faults.strike({key(DAYS[-1])}, FlipByte(2000), times=99)) as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url))
    assert failing(results) == ["download"]


def test_where_no_file_answers_nothing_is_said_of_the_plan(tmp_path):
    with serving(faults=faults.strike({key(day) for day in DAYS}, Status(500, "InternalError"), times=99)) as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url))
    assert failing(results) == ["plan"]
    assert "gave an answer" in results["plan"].found


def test_a_floor_that_has_rolled_is_left_to_the_run_to_warn_of(tmp_path):
    with serving() as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(DAYS[0], DAYS[-1])
        server.forbidden.update(map(key, DAYS[:3]))
        results = found(place)
        warned = [event.message for event in place.run(DAYS[0], DAYS[-1]).of(events.Notice)]
    assert results["plan"].found.startswith(f"{DAYS[3]} to {DAYS[-1]}: ")
    assert results["plan"].advice.startswith(f"your subscription now starts at {DAYS[3]}: 3 stored")
    assert "back them up" in "".join(warned)


def test_a_root_that_is_a_file(tmp_path):
    (tmp_path / "cache").write_text("")
    with serving() as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url))
    assert (failing(results), results["cache"].found) == (["cache"], f"{tmp_path / 'cache'} is not a folder")


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    with serving() as server:
        assert failing(found(Place(tmp_path / "cache", server.endpoint_url))) == ["cache"]


def test_a_disk_that_is_nearly_full(tmp_path, monkeypatch):
    tune(monkeypatch, little_disk=1 << 60)
    with serving() as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url))
    assert (failing(results), results["cache"].advice[:9]) == (["cache"], "make room")


def test_a_yahoo_that_is_out_of_reach(tmp_path, monkeypatch):
    def refuse():
        raise Disrupted("429")

    monkeypatch.setattr("ingest.sources.yahoo.newest_at_yahoo", refuse)
    with serving() as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url, yahoo=True))
    assert (failing(results), results["yahoo"].needed) == (["yahoo"], False)
    assert "a run goes on without it" in results["yahoo"].advice


def test_a_yahoo_that_is_switched_off_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.setattr("ingest.sources.yahoo.newest_at_yahoo", lambda: pytest.fail("it was asked"))
    with serving() as server:
        results = found(Place(tmp_path / "cache", server.endpoint_url, yahoo=False))
    assert (results["yahoo"].passed, results["yahoo"].found) == (True, "not asked: [fallback] enabled is false")


def test_the_command_prints_a_line_each_and_its_exit_code(tmp_path, loopback_keys):
    """The process cannot reach Yahoo: nothing in these tests reaches a network."""
    with serving() as server:
        place = Place(tmp_path / "cache", server.endpoint_url, yahoo=True)
        loopback_keys.chmod(0o644)
        asked, told = place.cli("check"), place.cli("check", "--json")
    assert (asked.returncode, told.returncode, asked.stderr, told.stderr) == (0, 0, "", "")
    lines = [line for line in asked.stdout.splitlines() if line.startswith(("pass", "note"))]
    assert [line.split()[:2] for line in lines] == [["pass", name] for name in NAMES[:-1]] + [
        ["note", "yahoo"],
        ["pass", "notify"],
    ]
    assert "curl" not in asked.stdout
    assert f"chmod 600 {loopback_keys}" in asked.stdout
    assert [json.loads(line)["name"] for line in told.stdout.splitlines()] == [*NAMES, "notify"]
    assert "secret-of-the-loopback" not in asked.stdout + told.stdout
