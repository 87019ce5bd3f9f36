"""[notify]: others are told how a run ended, without secrets; what cannot be sent never changes how it ended."""

import json
import os
import socket
import sys
import threading
import time
import uuid
from datetime import date
from pathlib import Path
from unittest.mock import patch

import pytest
from pipeline_kit import Place, key, trading_days
from receiver_kit import receiving

from ingest.cache import lock
from ingest.cli.nightly.ending import Ending, Tail, explained, summary_of
from ingest.cli.nightly.ping import address
from ingest.cli.nightly.secrets import scrubbed
from ingest.demo.servers import faults
from ingest.errors import SourceUnavailable, Stopped, UsageError
from ingest.pipeline.run import Series
from ingest.settings import load
from ingest.settings.sections.notify import Notify

DAYS = trading_days(date(2025, 3, 3), 2)
RUN = ("run", "--start", DAYS[0], "--end", DAYS[-1])
CHECK = "a1b2c3d4-0000-4000-8000-a1b2c3d4e5f6"
SECRET = "wJalrXUtnFEMI-of-a-test"
SAVE = """
import os, sys
open({path!r}, "w").write(os.environ["INGEST_EXIT_CODE"] + os.environ["INGEST_SUMMARY"] + sys.stdin.read())
"""


@pytest.fixture
def place(server, loopback_keys, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url, source={"attempts": 1})


@pytest.fixture
def receiver():
    with receiving() as found:
        yield found


@pytest.fixture
def pinging(receiver):
    return {"INGEST_NOTIFY__PING_URL": f"{receiver.url}/{CHECK}"}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("ingest.cli.nightly.ping._PAUSE_S", 0.0)


def raising(error):
    """A run that ends with this error, before it has taken the lock."""

    async def run(*_, **__):
        raise error

    return patch("ingest.cli.commands.fetching.run.run", run)


def on_failure(path):
    return {"INGEST_NOTIFY__ON_FAILURE": json.dumps([sys.executable, "-c", SAVE.format(path=str(path))])}


class TestThePing:
    def test_a_run_pings_its_start_and_its_success_which_belong_together(self, place, receiver, pinging):
        done = place.here(*RUN, **pinging)
        assert (done.code, done.err) == (0, "")
        start, end = receiver.posts
        assert (start.path, end.path) == (f"/{CHECK}/start", f"/{CHECK}")
        assert start.query == end.query
        assert str(uuid.UUID(start.query["rid"])) == start.query["rid"]
        assert "ended with 0: complete" in end.body.splitlines()[0]
        assert end.body.endswith(" Complete.\n")
        assert place.here(*RUN, **pinging).code == 0
        assert receiver.posts[2].query != start.query

    def test_several_datasets_have_one_start_and_one_end(self, place, receiver, pinging):
        assert place.here(*RUN, "-d", "stocks-day", "-d", "crypto-day", **pinging).code == 3
        assert receiver.paths == [f"/{CHECK}/start", f"/{CHECK}/3"]

    def test_the_end_is_not_sent_before_the_start_has_arrived(self, place, pinging, monkeypatch):
        ended, arrived = threading.Event(), []

        def ping(url, end, *_):
            if end == "start":
                ended.wait(0.3)
            arrived.append(end)
            ended.set()
            return ""

        monkeypatch.setattr("ingest.cli.nightly.notifying.ping", ping)
        assert place.here(*RUN, **pinging).code == 0
        assert arrived == ["start", ""]

    def test_failed_sessions_are_the_exit_code_with_what_was_said(self, place, server, receiver, pinging):
        server.faults = faults.strike({key(DAYS[1])}, faults.Status(500, "InternalError"), 9)
        done = place.here(*RUN, **pinging)
        assert done.code == 3
        assert receiver.paths == [f"/{CHECK}/start", f"/{CHECK}/3"]
        assert f"{DAYS[1]} failed" in receiver.posts[-1].body

    def test_keys_that_are_refused(self, place, server, receiver, pinging):
        server.faults = lambda request: faults.Status(403, "InvalidAccessKeyId")
        done = place.here(*RUN, **pinging)
        assert (done.code, receiver.paths) == (4, [f"/{CHECK}/start", f"/{CHECK}/4"])
        assert "error: " in receiver.posts[-1].body

    def test_a_wrong_list(self, place, receiver, pinging):
        done = place.here(*RUN, "--tickers", "none.txt", **pinging)
        assert (done.code, receiver.paths) == (2, [f"/{CHECK}/2"])
        assert "none.txt" in receiver.posts[-1].body

    def test_a_cache_that_cannot_be_written(self, place, receiver, pinging):
        place.root.write_text("a file")
        done = place.here(*RUN, **pinging)
        assert (done.code, receiver.paths) == (5, [f"/{CHECK}/5"])

    def test_another_run_in_progress_is_logged_and_starts_nothing(self, place, receiver, pinging, tmp_path):
        with lock.hold(place.root):
            done = place.here(*RUN, **pinging, **on_failure(tmp_path / "told"), INGEST_NOTIFY__WHEN="always")
        assert (done.code, receiver.paths) == (6, [f"/{CHECK}/log"])
        assert not (tmp_path / "told").exists()

    def test_an_interruption_is_a_failure(self, place, receiver, pinging):
        with raising(Stopped("stopped")):
            assert place.here(*RUN, **pinging).code == 130
        assert receiver.paths == [f"/{CHECK}/130"]
        assert explained(KeyboardInterrupt()) == (130, "interrupted")

    def test_a_crash_is_sent_with_its_traceback_and_stays_a_crash(self, place, receiver, pinging):
        with raising(ZeroDivisionError("of a test")), pytest.raises((ZeroDivisionError, ExceptionGroup)):
            place.here(*RUN, **pinging)
        assert receiver.paths == [f"/{CHECK}/1"]
        assert "ZeroDivisionError: of a test" in receiver.posts[0].body

    def test_a_dry_run_tells_nobody(self, place, receiver, pinging):
        assert place.here(*RUN, "--dry-run", **pinging).code == 0
        assert receiver.posts == []

    def test_the_body_is_the_end_of_what_was_said_in_100_kb(self):
        ending = Ending(3, summary_of(3), "ä" * 100_001)
        assert len(ending.body) in (99_999, 100_000)
        assert ending.body.decode().startswith(f"{ending.summary}\nä")

    @pytest.mark.parametrize(
        ("url", "end", "found"),
        [
            ("https://h/KEY/slug?create=1", "start", "https://h/KEY/slug/start?create=1&rid=R"),
            ("https://h/KEY/", "", "https://h/KEY?rid=R"),
            ("https://h", "3", "https://h/3?rid=R"),
        ],
    )
    def test_the_end_goes_to_the_path_and_a_query_stays(self, url, end, found):
        assert address(url, end, "R") == found


class TestWhatCannotBeSent:
    @pytest.mark.parametrize(
        ("answers", "words", "posts"),
        [
            ([(404, "")] * 2, "the server answered 404: is the URL right?", 2),
            ([(200, "OK (not found)")] * 2, 'answered "OK (not found)": is the URL right?', 2),
            ([(500, "")] * 6, "the server answered 500", 6),
        ],
    )
    def test_a_refusal_is_a_warning(self, place, receiver, pinging, answers, words, posts):
        receiver.answers = answers
        done = place.here(*RUN, "--quiet", **pinging)
        assert (done.code, len(receiver.posts)) == (0, posts)
        assert f"the ping to 127.0.0.1:{receiver.port}: {words}; the run itself is not affected" in done.err
        assert CHECK not in done.err

    def test_a_fault_that_passes_is_none(self, place, receiver, pinging):
        receiver.answers = [(200, "OK"), (503, ""), (200, "OK")]
        assert place.here(*RUN, "--quiet", **pinging).err == ""
        assert len(receiver.posts) == 3

    def test_silence_ends_with_the_time_that_is_set(self, place, receiver, pinging, monkeypatch):
        monkeypatch.setattr("ingest.cli.nightly.notifying._MARGIN_S", 0.1)
        receiver.silent.set()
        done = place.here(*RUN, "--quiet", **pinging, INGEST_NOTIFY__TIMEOUT_S="0.3")
        assert done.code == 0
        assert "no answer in time" in done.err or "not sent within 0.4 s" in done.err

    @pytest.mark.parametrize("host", ["nobody.invalid", "127.0.0.1:{closed}"])
    def test_nobody_there(self, place, host):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"http://{host.format(closed=closed.getsockname()[1])}/{CHECK}"
            done = place.here(*RUN, "--quiet", INGEST_NOTIFY__PING_URL=url)
        assert done.code == 0
        assert "the ping to " in done.err
        assert CHECK not in done.err

    def test_it_never_hides_the_code_of_the_run(self, place, receiver, pinging):
        receiver.answers = [(404, "")]
        with raising(SourceUnavailable("away")):
            done = place.here(*RUN, **pinging)
        assert done.code == 4
        assert done.err == "error: away\n"
        assert "the ping to" in done.out

    def test_no_thread(self, place, receiver, pinging):
        real = threading.Thread.start

        def start(thread):
            if thread.name.startswith("ingest: "):
                raise RuntimeError("can't start new thread")
            real(thread)

        with patch.object(threading.Thread, "start", start):
            done = place.here(*RUN, "--quiet", **pinging)
        assert done.code == 0
        assert "no thread can be started" in done.err


class TestTheProgram:
    def test_it_gets_the_code_and_the_summary_and_the_last_lines(self, place, tmp_path):
        with raising(SourceUnavailable("away")):
            done = place.here(*RUN, "--quiet", **on_failure(tmp_path / "told"))
        assert (done.code, done.err) == (4, "error: away\n")
        said = (tmp_path / "told").read_text()
        assert said.startswith("4ingest run on ")
        assert "error: away" in said

    def test_it_does_not_run_after_a_success(self, place, tmp_path):
        assert place.here(*RUN, **on_failure(tmp_path / "told"), INGEST_NOTIFY__WHEN="always").code == 0
        assert not (tmp_path / "told").exists()

    @pytest.mark.parametrize(
        ("command", "words"),
        [
            (["/none/such"], "/none/such cannot be run: No such file or directory"),
            ([sys.executable, "-c", f"raise SystemExit(7)  # {SECRET}"], f"{sys.executable} ended with 7"),
        ],
    )
    def test_if_it_fails_that_is_a_warning(self, place, command, words):
        with raising(SourceUnavailable("away")):
            done = place.here(*RUN, "--quiet", INGEST_NOTIFY__ON_FAILURE=json.dumps(command))
        assert done.code == 4
        assert f"[notify] on_failure: {words}; the run itself is not affected" in done.err
        assert SECRET not in done.err

    @pytest.mark.skipif(sys.platform == "win32", reason="no groups of processes")
    def test_one_that_does_not_end_is_ended_with_all_that_it_started(self, place, tmp_path):
        script = f"sleep 30 & echo $! > {tmp_path / 'child'}; sleep 30"
        with raising(SourceUnavailable("away")):
            done = place.here(
                *RUN,
                "--quiet",
                INGEST_NOTIFY__ON_FAILURE=json.dumps(["/bin/sh", "-c", script]),
                INGEST_NOTIFY__TIMEOUT_S="0.4",
            )
        assert "/bin/sh was ended after 0.4 s" in done.err
        child = int((tmp_path / "child").read_text())
        until = time.monotonic() + 20
        while not _is_gone(child):
            assert time.monotonic() < until
            time.sleep(0.01)


def _is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # it is apprise that imports it
class TestApprise:
    def test_a_failure_is_sent(self, place, receiver):
        url = f"json://127.0.0.1:{receiver.port}/{CHECK}"
        assert place.here(*RUN, INGEST_NOTIFY__APPRISE=json.dumps([url])).code == 0
        assert receiver.posts == []
        with raising(SourceUnavailable("away")):
            assert place.here(*RUN, INGEST_NOTIFY__APPRISE=json.dumps([url])).code == 4
        (post,) = receiver.posts
        sent = json.loads(post.body)
        assert (sent["type"], post.path.rstrip("/")) == ("failure", f"/{CHECK}")
        assert "ended with 4" in sent["title"]
        assert "error: away" in sent["message"]

    def test_a_success_if_that_is_set(self, place, receiver):
        url = f"json://127.0.0.1:{receiver.port}/{CHECK}"
        done = place.here(*RUN, INGEST_NOTIFY__APPRISE=json.dumps([url]), INGEST_NOTIFY__WHEN="always")
        assert done.code == 0
        assert [json.loads(post.body)["type"] for post in receiver.posts] == ["success"]

    def test_what_is_not_sent_is_a_warning_that_shows_no_url(self, place, receiver, caplog):
        receiver.answers = [(403, "")] * 9
        urls = [f"json://127.0.0.1:{receiver.port}/{CHECK}", f"nosuch://{CHECK}"]
        with raising(SourceUnavailable("away")):
            done = place.here(*RUN, "--quiet", INGEST_NOTIFY__APPRISE=json.dumps(urls))
        assert done.code == 4
        assert "[notify] apprise, json: it was not accepted" in done.err
        assert "[notify] apprise, nosuch: apprise does not know such a URL" in done.err
        assert CHECK not in done.err + caplog.text
        assert [record for record in caplog.records if record.name.startswith("apprise")] == []

    def test_without_the_library_the_warning_says_what_to_install(self, place, monkeypatch):
        monkeypatch.setitem(sys.modules, "apprise", None)
        with raising(SourceUnavailable("away")):
            done = place.here(*RUN, "--quiet", INGEST_NOTIFY__APPRISE='["json://127.0.0.1"]')
        assert done.code == 4
        assert "pip install 'ingest[notify]'" in done.err


class TestSecrets:
    def test_none_leaves_the_machine(self, place, receiver, pinging, monkeypatch, loopback_keys):
        of_file = "secret-of-the-loopback"
        assert of_file in loopback_keys.read_text()
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("HTTPS_PROXY", "http://me:of-a@proxy@127.0.0.1:9")
        spelled = [SECRET, of_file, "Signature=" + "0f" * 32, "me:of-a@proxy", "token: abcdef", "Password='hush'"]
        urls = [f"{receiver.url}/{CHECK}", "http://me:pass@w@proxy:3128", "https://h/flatfiles/k?X-Amz-Credential=abc"]
        with raising(SourceUnavailable(" ".join(["no answer:", *spelled, *urls]))):
            assert place.here(*RUN, **pinging).code == 4
        body = receiver.posts[-1].body
        assert "no answer:" in body
        for secret in (*spelled, CHECK, "me:pass", "@w@", "abcdef", "hush", "X-Amz-Credential=abc"):
            assert secret not in body

    def test_a_line_of_any_length_is_looked_through_at_once(self):
        tail = Tail()
        tail.write("a" * 10_000_000 + "\n")
        assert len(scrubbed(tail.text(), ["KEYKEYKEY"])) < 3000

    def test_what_is_no_secret_stays(self):
        text = "error: https://files.massive.com/flatfiles: 403 (2025-03-03, AAPL); see [source] profile? Keys: token"
        assert scrubbed(text, ["KEYKEYKEY"]) == text

    def test_a_listing_shows_where_it_leads_alone_and_is_refused_as_settings(self, place, tmp_path):
        url, apprise = f"https://hc-ping.com/{CHECK}", [f"tgram://{SECRET}/1"]
        told = {"INGEST_NOTIFY__PING_URL": url, "INGEST_NOTIFY__APPRISE": json.dumps(apprise)}
        told["INGEST_NOTIFY__ON_FAILURE"] = f"curl -H 'Token: {SECRET}' https://h"
        for how in ((), ("--json",)):
            shown = place.here("config", "show", *how, **told).out
            assert CHECK not in shown
            assert SECRET not in shown
            assert "https://hc-ping.com/" in shown
            assert "tgram://" in shown
            assert "curl" in shown
        (tmp_path / "listed.toml").write_text(place.here("config", "show", **told).out, encoding="utf-8")
        with patch.dict(os.environ, clear=True), pytest.raises(UsageError, match="ping_url"):
            load(tmp_path / "listed.toml")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("PING_URL", f"ftp://hc-ping.com/{SECRET}"),
            ("PING_URL", f"https://me:{SECRET}@hc-ping.com/x"),
            ("PING_URL", f"hc-ping.com/{SECRET}"),
            ("PING_URL", f"https://me:{SECRET}/x"),
            ("APPRISE", f'["{SECRET}"]'),
            ("ON_FAILURE", f"mail '{SECRET}"),
        ],
    )
    def test_a_wrong_one_is_refused_without_being_shown(self, name, value):
        with patch.dict(os.environ, {f"INGEST_NOTIFY__{name}": value}), pytest.raises(UsageError) as caught:
            load()
        assert f"INGEST_NOTIFY__{name}" in str(caught.value)
        assert "not shown" in str(caught.value)
        assert SECRET not in str(caught.value)

    def test_the_representation_of_settings_shows_none(self):
        notify = Notify(ping_url=f"https://h/{SECRET}", on_failure=("mail", SECRET), apprise=(f"tgram://{SECRET}",))
        assert SECRET not in repr(notify)


class TestTheCheck:
    @pytest.fixture
    def checked(self, place, monkeypatch):
        async def check(*_):
            """Leave out all else."""

        monkeypatch.setattr("ingest.cli.commands.starting.check.check", check)

        def command(*arguments, **environment):
            done = place.here("check", *arguments, **environment)
            return done.code, done.out

        return command

    def test_nobody(self, checked):
        code, said = checked()
        assert code == 0
        assert "nobody is told how a run ended" in said

    def test_without_the_flag_nothing_is_sent(self, checked, receiver, pinging):
        code, said = checked(**pinging)
        assert (code, receiver.posts) == (0, [])
        assert f"pings http://127.0.0.1:{receiver.port}/…" in said
        assert CHECK not in said

    @pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
    def test_a_test_is_logged_and_reaches_everybody(self, checked, receiver, pinging, tmp_path):
        url = f"json://127.0.0.1:{receiver.port}/apprise"
        code, said = checked(
            "--notify", **pinging, **on_failure(tmp_path / "told"), INGEST_NOTIFY__APPRISE=json.dumps([url])
        )
        assert (code, "a test was sent" in said) == (0, True)
        assert sorted(path.rstrip("/") for path in receiver.paths) == [f"/{CHECK}/log", "/apprise"]
        assert "this is a test" in (tmp_path / "told").read_text()

    @pytest.mark.parametrize(
        ("environment", "words"),
        [
            ({"INGEST_NOTIFY__ON_FAILURE": "/none/such it"}, "/none/such is not a program"),
            ({"INGEST_NOTIFY__PING_URL": "http://127.0.0.1:9/x"}, "the ping to 127.0.0.1:9: failed"),
        ],
    )
    def test_what_would_fail_is_exit_4(self, checked, environment, words):
        code, said = checked("--notify", **environment)
        assert (code, words in said) == (4, True), said


def test_the_time_after_a_series_is_that_of_the_run(place, receiver, pinging):
    """A Ctrl-C while the messages are sent leaves them, and the code is that of the run."""

    async def run(*_, **__):
        return Series(())

    def interrupted(*_):
        raise KeyboardInterrupt

    with (
        patch("ingest.cli.commands.fetching.run.run", run),
        patch("ingest.cli.nightly.watching.Notifier.tell", interrupted),
    ):
        assert place.here(*RUN, **pinging).code == 0


MODULES = """
import sys
from ingest.__main__ import main
try:
    main()
except SystemExit as ended:
    print(ended.code, *sys.modules)
"""


def test_a_run_that_nobody_is_told_of_imports_none_of_it(place):
    done = place.ended([sys.executable, "-c", MODULES, *map(str, RUN), "--quiet"])
    code, *modules = done.stdout.split()
    assert (code, done.stderr) == ("0", "")
    assert [name for name in modules if name.startswith(("ingest.cli.nightly", "apprise", "prometheus"))] == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("sign", ["TERM", "HUP"])
def test_so_does_another_signal(place, tmp_path, sign):
    program = json.dumps(["sh", "-c", f"kill -{sign} $PPID; sleep 1"])
    log = tmp_path / "ingest.log"
    done = place.cli("run", "--quiet", "-d", "none", "--log-file", log, INGEST_NOTIFY__ON_FAILURE=program)
    assert done.returncode == 2, done.stderr
    assert log.read_text().splitlines()[-1].endswith("ended with 2: wrong flag or setting")
