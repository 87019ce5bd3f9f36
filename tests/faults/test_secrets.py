"""Keys stand nowhere: every command, in success and in failure, with marked keys; what it says and writes is searched.

What is searched for are the access key, the secret key, the session token and the signature of each request that the
server got. Debug logs of botocore are botocore's: they hold access keys and signatures (never the secret key), and are
written only where a program that imports ingest asks for them. What `ingest` says and logs itself holds none.
"""

import re
import subprocess
import sys
import traceback
from contextlib import contextmanager
from datetime import date
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import typer
from pipeline_kit import ROOT, Place, key, market_day, market_objects, sampled, trading_days, window, write_keys

from ingest.cli.app import app
from ingest.demo.files.market import pack
from ingest.demo.servers import answering, loopback
from ingest.demo.servers.faults import ResetBefore, ResetMidway, Status, always
from ingest.errors import IngestError, IngestWarning
from ingest.market.catalogue import STOCKS_DAY
from ingest.reading import history
from ingest.reading.adjusting.actions import HistoryQuery
from ingest.sources.massive.credentials import hidden, secrets_of

ACCESS = "MARKEDACCESSKEY0"
SECRET = "marked-secret/of+nobody="
TOKEN = "marked-session-token"
PASSWORD = "marked-password"
DAYS = trading_days(date(2025, 3, 3), 3)
SPAN = ("--start", str(DAYS[0]), "--end", str(DAYS[-1]))

COMMANDS = {
    "run": [["run", *SPAN], ["run", *SPAN, "--json"], ["run", *SPAN, "--dry-run"], ["run", *SPAN, "-q", "--refresh"]],
    "status": [["status"], ["status", "--json"]],
    "list": [["list", *SPAN], ["list", *SPAN, "--json"], ["list", "--parts"]],
    "move": [["move"], ["move", "--json", "--dry-run"]],
    "check": [["check"], ["check", "--json"]],
    "show": [["show", "AAPL", *SPAN], ["show", "AAPL", "--json", "--no-fetch", "--adjust", "none"]],
    "tickers": [["tickers"], ["tickers", "--json"]],
    "export": [["export", "AAPL", "--out", "files"]],
    "track add": [["track", "add", "MSFT", "--list", "mine.txt"]],
    "track remove": [["track", "remove", "MSFT", "--list", "mine.txt"]],
    "track list": [["track", "list"], ["track", "list", "--json"]],
    "track import": [["track", "import", "more.txt", "--list", "mine.txt"]],
    "adopt": [["adopt", "theirs"], ["adopt", "theirs", "--json", "--dry-run"]],
    "corrections": [["corrections"], ["corrections", "--json"]],
    "findings": [["findings"], ["findings", "--json"]],
    "verify": [["verify"], ["verify", "--deep", "--json"], ["verify", "--repair"]],
    "quarantine list": [["quarantine", "list"], ["quarantine", "list", "--json"]],
    "quarantine show": [["quarantine", "show", str(DAYS[2])], ["quarantine", "show", str(DAYS[2]), "--json"]],
    "quarantine accept": [["quarantine", "accept", str(DAYS[2])]],
    "quarantine retry": [["quarantine", "retry"]],
    "quarantine dismiss": [["quarantine", "dismiss", str(DAYS[2])]],
    "report": [["report"], ["report", "--json"]],
    "chain": [["chain", "SPY"], ["chain", "SPY", "--json"]],
    "lake build": [["lake", "build"], ["lake", "build", "--json"]],
    "lake status": [["lake", "status"], ["lake", "status", "--json"]],
    "lake snapshots": [["lake", "snapshots"], ["lake", "snapshots", "--json"]],
    "lake drop": [["lake", "drop", "--yes"]],
    "sql": [["sql", "from stocks_day"], ["sql", "from stocks_day", "--json"]],
    "restore": [["restore"], ["restore", "--yes", "--json"]],
    "prune": [["prune"], ["prune", "--json"]],
    "schedule show": [["schedule", "show"], ["schedule", "show", "--kind", "cron", "--json"]],
    "schedule install": [["schedule", "install", "--dry-run"]],
    "schedule remove": [["schedule", "remove", "--dry-run"]],
    "config show": [["config", "show"], ["config", "show", "--json"]],
    "config path": [["config", "path"]],
    "init": [["init", "there", "--yes"]],
    "demo": [],  # has keys of its own making, for a server on this machine
}
"""What each command is called with. A new command needs an entry."""

ASKING = ("run", "list", "status")
"""Commands that ask the source, and the one that shows what it said."""


def every_command(group=None, above=()):
    for name, one in (group or typer.main.get_command(app)).commands.items():
        yield from every_command(one, (*above, name)) if hasattr(one, "commands") else [" ".join((*above, name))]


def test_every_command_is_tried():
    assert sorted(every_command()) == sorted(COMMANDS)


class Seen:
    """What was said, and the signatures that the server got."""

    def __init__(self):
        self.texts = []
        self.signatures = set()

    def note(self, *texts):
        self.texts += texts

    def check(self, folder, *spared):
        """Search everything that was said, and every file below a folder, its names too."""
        marks = [ACCESS, SECRET, TOKEN, PASSWORD, "AWS4-HMAC-SHA256", "Authorization", *self.signatures]
        for mark in marks:
            found = [text for text in self.texts if mark in text]
            assert found == [], mark
            files = [path for path in folder.rglob("*") if path.is_file() and path not in spared]
            assert [path for path in files if mark.encode() in path.read_bytes() or mark in str(path)] == [], mark


@contextmanager
def place_of(tmp_path, monkeypatch, **serving):
    """A place with marked keys, and what is seen at its server."""
    seen = Seen()
    write_keys(tmp_path / "credentials", ACCESS, SECRET)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    (tmp_path / "more.txt").write_text("NVDA\n")
    (tmp_path / "theirs" / "massive_cache").mkdir(parents=True)
    (tmp_path / "theirs" / "massive_cache" / "2025-03-04.csv").write_text("no day")
    handle = loopback.Server.handle

    async def noted(server, incoming):
        signed = incoming.headers.get("Authorization", "")
        seen.signatures.update(re.findall(r"Signature=([0-9a-f]+)", signed))
        assert not signed or ACCESS in signed, "the keys are the marked ones"
        return await handle(server, incoming)

    with patch.object(loopback.Server, "handle", noted), loopback.serve(market_objects(DAYS), **serving) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, source={"attempts": 1, "down_after_s": 5})
        place.server = server
        yield place, seen


def everything(place, seen, commands=tuple(COMMANDS), most=None):
    """Every command and the functions of Python; returns the exit codes."""
    codes = {}
    for name in commands:
        for number, arguments in enumerate(COMMANDS[name][:most]):
            told = place.here(*arguments)
            seen.note(told.out, told.err)
            codes[name, number] = told.code
    with_errors(seen, lambda: place.run(*window(DAYS), refresh=True, sink=lambda event: seen.note(repr(event))))
    with_errors(seen, lambda: history.history(place.settings(), STOCKS_DAY, HistoryQuery(["AAPL"], fetch=False)))
    return codes


def with_errors(seen, call):
    """Call; what is raised is noted with all that a traceback would show of it."""
    try:
        call()
    except (IngestError, IngestWarning) as error:
        seen.note("".join(traceback.format_exception(error)), repr(error))


def echoed(server, incoming):
    """An answer as S3 gives it to a wrong signature: it repeats what was signed, and here the header, too."""
    signed = incoming.headers.get("Authorization", "")
    body = (
        f"<Error><Code>SignatureDoesNotMatch</Code><Message>{signed} is wrong\n{signed}</Message>"
        f"<AWSAccessKeyId>{ACCESS}</AWSAccessKeyId><SignatureProvided>{signed[-64:]}</SignatureProvided>"
        f"<StringToSign>{signed}</StringToSign></Error>"
    )
    return body.encode()


ECHOES = {
    "403": lambda body: (403, body),
    "403 of another code": lambda body: (403, body.replace(b"SignatureDoesNotMatch", b"Odd" + body[60:400])),
    "500": lambda body: (500, body.replace(b"SignatureDoesNotMatch", b"InternalError")),
    "503": lambda body: (503, body.replace(b"SignatureDoesNotMatch", b"SlowDown")),
    "400 as text": lambda body: (400, re.sub(rb"<[^>]*>", b"", body)),
    "200": lambda body: (200, body),
    "200 as broken XML": lambda body: (200, body[:-20]),
    "200 as text": lambda body: (200, re.sub(rb"<[^>]*>", b"", body)),
}


@pytest.mark.parametrize("listing", [True, False], ids=["everywhere", "objects alone"])
@pytest.mark.parametrize("echo", sampled(ECHOES))
def test_an_answer_that_echoes_the_header(tmp_path, monkeypatch, echo, listing):
    def refusal(server, bucket, incoming):
        if not listing and not incoming.path.endswith(".gz"):
            return None
        status, body = ECHOES[echo](echoed(server, incoming))
        return answering.Answer(status, body, {"Content-Type": "application/xml"})

    with place_of(tmp_path, monkeypatch) as (place, seen), patch.object(loopback.Server, "_refusal", refusal):
        codes = everything(place, seen, ASKING, most=2)
        assert seen.signatures
        assert codes["run", 0] in (3, 4) or (echo.startswith("403") and not listing)
        seen.check(tmp_path, tmp_path / "credentials")


FAULTS = {
    "all is well": {},
    "no plan": {"forbidden": set(market_objects(DAYS))},
    "SignatureDoesNotMatch": {"faults": always(Status(403, "SignatureDoesNotMatch"))},
    "AccessDenied": {"faults": always(Status(403, "AccessDenied"))},
    "InvalidAccessKeyId": {"access_keys": {"ANOTHER"}},
    "a server's error": {"faults": always(Status(500, "InternalError"))},
    "resets": {"faults": always(ResetBefore())},
    "resets midway": {"faults": always(ResetMidway(10))},
    "no such bucket": {"bucket": "another"},
}


@pytest.mark.parametrize("fault", sampled(FAULTS))
def test_whatever_the_source_does(tmp_path, monkeypatch, fault):
    with place_of(tmp_path, monkeypatch, **FAULTS[fault]) as (place, seen):
        codes = everything(
            place, seen, tuple(COMMANDS) if fault in ("all is well", "SignatureDoesNotMatch") else ASKING
        )
        assert seen.signatures
        assert (codes["run", 0] == 0) == (fault in ("all is well", "no plan"))
        seen.check(tmp_path, tmp_path / "credentials")


def test_what_is_in_quarantine(tmp_path, monkeypatch):
    commands = [name for name in COMMANDS if name in ("run", "status") or name.startswith("quarantine")]
    with place_of(tmp_path, monkeypatch) as (place, seen):
        place.run(*window(DAYS))
        place.server.put(key(DAYS[2]), pack(market_day(DAYS[2])[:9000]))
        codes = everything(place, seen, commands)
        assert (codes["run", 0], codes["quarantine show", 0], codes["quarantine accept", 0]) == (3, 0, 0)
        seen.check(tmp_path, tmp_path / "credentials")


def test_what_is_searched_is_found(tmp_path, monkeypatch):
    """The search itself: it finds a key in what was said, in a file, and in a file's name."""
    for spoil in (
        lambda place, seen: seen.note(f"x {SECRET} y"),
        lambda place, seen: seen.note(next(iter(seen.signatures))),
        lambda place, seen: (place.root / "file").write_bytes(b"\0" + ACCESS.encode()),
        lambda place, seen: (place.root / SECRET.replace("/", "-")).touch() or seen.note(SECRET),
        lambda place, seen: place.execute(f"UPDATE runs SET dataset = '{TOKEN}'"),
    ):
        with pytest.MonkeyPatch.context() as again:
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            folder.mkdir()
            with place_of(folder, again) as (place, seen):
                place.run(*window(DAYS))
                seen.check(folder, folder / "credentials")
                spoil(place, seen)
                with pytest.raises(AssertionError):
                    seen.check(folder, folder / "credentials")


KEYS_IN_THE_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": ACCESS,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": TOKEN,
}


@pytest.mark.parametrize("profile", [True, False], ids=["with a profile", "without"])
def test_keys_in_the_environment(tmp_path, monkeypatch, profile):
    with place_of(tmp_path, monkeypatch) as (place, seen):
        if not profile:
            (tmp_path / "credentials").write_text("[another]\n")
        for name, value in KEYS_IN_THE_ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        codes = everything(place, seen)
        assert codes["run", 0] == 0
        seen.check(tmp_path, tmp_path / "credentials")


CREDENTIALS = {
    "a line that is none": f"[massive]\n{SECRET}\naws_access_key_id = {ACCESS}\n",
    "no section": f"aws_secret_access_key = {SECRET}\n",
    "no equals sign": f"[massive]\naws_access_key_id {ACCESS}\naws_secret_access_key {SECRET}\n",
    "twice": f"[massive]\naws_secret_access_key = {SECRET}\naws_secret_access_key = {SECRET}\n",
    "no access key": f"[massive]\naws_secret_access_key = {SECRET}\n",
    "no secret key": f"[massive]\naws_access_key_id = {ACCESS}\n",
    "swapped, and a token": f"[massive]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\n"
    f"aws_session_token = {TOKEN}\n",
    "not ASCII": f"[massive]\naws_access_key_id = {ACCESS}é\u202e\naws_secret_access_key = {SECRET}é\n",
    "a program that fails": "[massive]\ncredential_process = "
    f"{sys.executable} -c \"import sys; sys.exit('{SECRET}')\"\n",
    "a program that tells no keys": f"[massive]\ncredential_process = {sys.executable} -c \"print('{SECRET}')\"\n",
}


@pytest.mark.parametrize("credentials", CREDENTIALS.values(), ids=CREDENTIALS)
def test_a_file_of_keys_that_is_wrong(tmp_path, monkeypatch, credentials):
    with place_of(tmp_path, monkeypatch) as (place, seen):
        (tmp_path / "credentials").write_bytes(credentials.encode())
        for arguments in (["run", *SPAN], ["list", *SPAN], ["check"]):
            told = place.here(*arguments)
            seen.note(told.out, told.err)
        with_errors(seen, lambda: place.run(*window(DAYS)))
        seen.check(tmp_path, tmp_path / "credentials")


@pytest.mark.parametrize("where", ["environment", "file"])
def test_an_endpoint_with_a_password_is_refused_and_not_shown(tmp_path, monkeypatch, where):
    url = f"https://me:{PASSWORD}@127.0.0.1:9"
    with place_of(tmp_path, monkeypatch) as (place, seen):
        environment = {"INGEST_SOURCE__ENDPOINT_URL": url}
        if where == "file":
            (tmp_path / "config.toml").write_text(f'[source]\nendpoint_url = "{url}"\n')
            environment = {"INGEST_SOURCE__ENDPOINT_URL": ""}
        for calls in COMMANDS.values():
            for arguments in calls:
                told = place.here(*arguments, **environment)
                seen.note(told.out, told.err)
                # `init` reads the file that it writes, elsewhere, and no other
                reads_none = (["config", "path"], ["schedule", "remove"])
                assert told.code == 2 or arguments[:2] in reads_none or arguments[0] == "init"
        seen.check(tmp_path, tmp_path / "credentials", tmp_path / "config.toml")


def test_a_proxy_with_a_password_that_is_down(tmp_path, monkeypatch):
    with place_of(tmp_path, monkeypatch) as (place, seen):
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://me:{PASSWORD}@127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "")
        place.endpoint_url = "https://files.example.test"  # to this machine no proxy leads
        for arguments in (["run", *SPAN], ["run", *SPAN, "--json"], ["list", *SPAN], ["check"]):
            told = place.here(*arguments)
            seen.note(told.out, told.err)
            assert told.code == 4
        with_errors(seen, lambda: place.run(*window(DAYS)))
        seen.check(tmp_path, tmp_path / "credentials")


BUGS = {
    "in a worker": "ingest.pipeline.worker:parts_of",
    "as a body comes": "ingest.sources.massive.client:MassiveSource._checked",
    "as the client is made": "ingest.sources.massive.client:_config",
    "as keys are looked for": "ingest.sources.massive.session:_missing",
    "as a request is sent": "ingest.sources.massive.client:MassiveSource._call",
}
_PLANTED = """
import importlib, os, sys
module, _, name = os.environ["PLANTED"].partition(":")
*owners, last = name.split(".")
owner = importlib.import_module(module)
for one in owners:
    owner = getattr(owner, one)
def bug(*arguments, **named):
    raise ZeroDivisionError("a bug, planted")
setattr(owner, last, bug)
from ingest.__main__ import main
main()
"""


@pytest.mark.parametrize("bug", sampled(BUGS))
def test_a_traceback(tmp_path, monkeypatch, bug):
    with place_of(tmp_path, monkeypatch) as (place, seen):
        if bug == "as keys are looked for":
            (tmp_path / "credentials").write_text(f"[massive]\naws_secret_access_key = {SECRET}\n")
        output = ["--json"] if bug in ("in a worker", "as the client is made") else []  # both, at half the time
        done = subprocess.run(
            [sys.executable, "-c", _PLANTED, "run", *SPAN, *output],
            env=place.environment(PLANTED=BUGS[bug], PYTHONPATH=str(ROOT), **KEYS_IN_THE_ENVIRONMENT),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, "a bug, planted" in done.stderr) == (1, True), done.stderr[-2000:]
        seen.note(done.stdout, done.stderr)
        seen.check(tmp_path, tmp_path / "credentials")


_LOGGING = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, format="%(name)s|%(message)r", stream=sys.stdout)
import ingest
from datetime import date
from ingest.errors import IngestError
try:
    print(f"summary|{ingest.run(start=date.fromisoformat(sys.argv[1]), end=date.fromisoformat(sys.argv[2]))!r}")
except IngestError as error:
    print(f"error|{error!r}")
"""


@pytest.mark.parametrize("fault", ["all is well", "SignatureDoesNotMatch"])
def test_with_all_logs_on_ours_hold_no_keys_and_none_holds_the_secret(tmp_path, monkeypatch, fault):
    with place_of(tmp_path, monkeypatch, **FAULTS[fault]) as (place, seen):
        done = subprocess.run(
            [sys.executable, "-c", _LOGGING, str(DAYS[0]), str(DAYS[-1])],
            env=place.environment(PYTHONPATH=str(ROOT)),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        lines = done.stdout.splitlines()
        assert any(line.startswith("botocore") and ACCESS in line for line in lines), "botocore logs what it signs"
        assert not [line for line in lines if SECRET in line]
        theirs = ("botocore.", "aiobotocore.", "aioboto3.", "boto3.", "asyncio|", "urllib3", "yfinance", "peewee")
        seen.note(done.stderr, *[line for line in lines if not line.startswith(theirs)])
        seen.check(tmp_path, tmp_path / "credentials")


PLACES = [
    "[{section}]\n{name} = '{value}'\n",
    "[{section}.deep]\n{name} = '{value}'\n",
    "{name} = '{value}'\n[{section}]\n",
]
NAMES = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "secret",
    "access_key",
    "password",
    "api_key",
]


@pytest.mark.parametrize("name", sampled(NAMES, 2))
def test_keys_in_settings_are_refused_with_where_they_belong_and_not_shown(tmp_path, monkeypatch, name):
    with place_of(tmp_path, monkeypatch) as (place, seen):
        for text in PLACES:
            for section in ("source", "cache", "massive"):
                (tmp_path / "config.toml").write_text(text.format(section=section, name=name, value=SECRET))
                for arguments in (["run", *SPAN], ["config", "show"], ["config", "show", "--json"], ["status"]):
                    told = place.here(*arguments)
                    assert (told.code, "~/.aws/credentials" in told.err) == (2, True), (text, section, told)
                    seen.note(told.out, told.err)
        (tmp_path / "config.toml").write_text("")
        for variable in (f"INGEST_SOURCE__{name.upper()}", f"INGEST_MASSIVE__{name.upper()}", f"ingest_source__{name}"):
            told = place.here("run", *SPAN, **{variable: SECRET})
            assert (told.code, "~/.aws/credentials" in told.err) == (2, True), (variable, told)
            seen.note(told.out, told.err)
        seen.check(tmp_path, tmp_path / "credentials")


def test_what_is_hidden_and_what_is_not():
    words = "listing us_stocks_sip: 500: the KEY of a Signature, Credential of nobody"
    assert hidden(words, ["KEY"]) == words.replace("KEY", "(not shown)")
    signed = f"AWS4-HMAC-SHA256 Credential={ACCESS}/2025/x, SignedHeaders=host, Signature=0123abcd"
    assert hidden(f"a {signed}", []) == "a (not shown)"
    assert hidden(f"<a>{signed[17:]}</a>", []) == "<a>(not shown), SignedHeaders=host, (not shown)</a>"
    assert hidden(f"{'0f' * 32}", []) == "(not shown)"


def test_short_keys_are_not_looked_for():
    assert secrets_of(SimpleNamespace(access_key="A", _secret_key=SECRET, token=None)) == [SECRET]
