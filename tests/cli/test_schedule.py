"""`ingest schedule`: what is written says what is meant, in each form; nothing that is not its own is touched."""

import io
import json
import os
import plistlib
import shlex
import shutil
import subprocess
import sys
import time
from datetime import date
from unittest.mock import patch
from xml.etree import ElementTree as ET

import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pipeline_kit import Place, key, packed_day, trading_days

from ingest.cli.schedule import cron, launchd, systemd, windows
from ingest.cli.schedule.job import job_of
from ingest.cli.schedule.steps import MARK, Job
from ingest.errors import UsageError
from ingest.market.calendars import today
from ingest.market.catalogue import STOCKS_DAY
from ingest.planning.waiting import newest_due

DAYS = trading_days(date(2025, 3, 3), 1)
KINDS = ("systemd", "launchd", "windows", "cron")
PROGRAMS = {"systemd": "systemctl", "launchd": "launchctl", "windows": "schtasks", "cron": "crontab"}
ODD = "a b%c$HOME\"q'é\\%z;#日%%"
UNIX = pytest.mark.skipif(sys.platform == "win32", reason="scripts of a shell stand for the system's programs")

FAKE = """#!/bin/sh
echo "${0##*/} $*" >> "$FAKES/calls"
[ -e "$FAKES/fails" ] && { cat "$FAKES/fails" >&2; exit 1; }
case "${0##*/} $1" in
"crontab -l") [ -e "$FAKES/table" ] || { echo "no crontab for me" >&2; exit 1; }; cat "$FAKES/table" ;;
"crontab -") cat > "$FAKES/table" ;;
"schtasks /Query") [ -e "$FAKES/task" ] || exit 1; cat "$FAKES/task" ;;
"schtasks /Create") cp "$5" "$FAKES/task" ;;
"schtasks /Delete") rm "$FAKES/task" ;;
esac
"""


# Each form is read back as its own manual says


def unquoted_systemd(line):
    """systemd.service(5), Command Lines: quotes and escapes, then specifiers, then variables but for the program."""
    words, word, inside, chars = [], None, False, iter(line)
    for char in chars:
        if char == "\\":
            word = (word or "") + {"\\": "\\", '"': '"', "'": "'"}[next(chars)]
        elif char == '"':
            inside, word = not inside, word or ""
        elif char == " " and not inside:
            words, word = [*words, word], None
        else:
            word = (word or "") + char
    words.append(word)
    assert not inside
    words = [expanded(one, "%") for one in words]
    return [words[0], *(expanded(one, "$") for one in words[1:])]


def expanded(text, sign):
    """A text in which a sign stands for itself only if it is doubled; any other use would be replaced."""
    pieces = text.split(sign * 2)
    assert all(sign not in piece for piece in pieces), text
    return sign.join(pieces)


def unescaped_cron(command):
    """What cron hands to the shell: do_command.c of Vixie's cron ends a command at a bare %, and takes \\ from \\%."""
    kept, escaped = [], False
    for char in command:
        if escaped and char == "%":
            kept[-1] = char
        else:
            assert char != "%", command
            kept.append(char)
        escaped = char == "\\" and not escaped
    return "".join(kept)


def unquoted_windows(line):
    """CommandLineToArgvW's rules for arguments."""
    words, word, inside, slashes = [], None, False, 0
    for char in [*line, None]:
        if char == "\\":
            slashes += 1
            continue
        if char == '"':
            word = (word or "") + "\\" * (slashes // 2) + ('"' if slashes % 2 else "")
            inside = inside if slashes % 2 else not inside
        else:
            word = word if word is None and not slashes else (word or "") + "\\" * slashes
            if char is None or (char in " \t" and not inside):
                words, word = ([*words, word] if word is not None else words), None
            else:
                word = (word or "") + char
        slashes = 0
    assert not inside
    return words


def shell_undone(command):
    """The program that `exec "$0" "$@"` runs in the end."""
    return command[len(systemd._BY_SHELL) :] if tuple(command[:3]) == systemd._BY_SHELL else command


def in_systemd(job):
    service, timer = (data.decode() for data in systemd.installation(job).files.values())
    lines = dict(line.split("=", 1) for line in service.splitlines() if "=" in line and not line.startswith("#"))
    assert f"OnCalendar=*-*-* {job.hour:02}:{job.minute:02}:00 UTC" in timer.splitlines()
    return expanded(lines["WorkingDirectory"], "%"), shell_undone(unquoted_systemd(lines["ExecStart"]))


def in_launchd(job):
    (data,) = launchd.installation(job).files.values()
    agent = plistlib.loads(data)
    return agent["WorkingDirectory"], agent["ProgramArguments"]


def in_windows(job):
    (data,) = windows.installation(job).files.values()
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    task = ET.fromstring(data)
    program, arguments, folder = (
        task.findtext(f"t:Actions/t:Exec/t:{name}", namespaces=space)
        for name in ("Command", "Arguments", "WorkingDirectory")
    )
    assert task.findtext(".//t:StartBoundary", namespaces=space).endswith(f"T{job.hour:02}:{job.minute:02}:00Z")
    return folder, [program, *unquoted_windows(arguments or "")]


def in_cron(job):
    shown = cron.installation(job, b"").shown
    minute, hour, *days, command = shown.split(" ", 5)
    assert (days, command.endswith(f"# {MARK}: {job.name}")) == (["*"] * 3, True)
    assert 0 <= int(minute) < 60
    assert 0 <= int(hour) < 24
    cd, folder, also, execute, *words = shlex.split(unescaped_cron(command), comments=True)
    assert (cd, also, execute) == ("cd", "&&", "exec")
    return folder, words


READ = {"systemd": in_systemd, "launchd": in_launchd, "windows": in_windows, "cron": in_cron}
WORD = st.text(
    st.sampled_from("ab/ '\"%$\\;#&|<>`~*?()[]{}=!^é日\u202e\U0001f600")
    | st.characters(exclude_categories=("Cc", "Cs")),
    min_size=1,
    max_size=12,
)


def job(folder, *command):
    return Job("ingest", ("/opt/" + command[0], *command[1:]), "/home/" + folder, 6, 5)


@pytest.mark.parametrize("kind", KINDS)
class TestEachForm:
    @given(folder=WORD, command=st.lists(WORD, min_size=1, max_size=4))
    @hypothesis_settings(max_examples=40, deadline=None)
    def test_it_says_what_is_meant(self, kind, folder, command):
        self.reads_back(kind, folder, command)

    @pytest.mark.long
    @given(folder=WORD, command=st.lists(WORD, min_size=1, max_size=4))
    @hypothesis_settings(max_examples=5000, deadline=None)
    def test_many_say_what_is_meant(self, kind, folder, command):
        self.reads_back(kind, folder, command)

    def reads_back(self, kind, folder, command):
        try:
            one = job(folder, *command)
            found = READ[kind](one)
        except UsageError as error:
            assume(kind in ("systemd", "windows") or "has the character" in str(error))
            return
        assert found == (one.folder, list(one.command))

    def test_signs_that_one_of_them_reads(self, kind):
        folder = ODD.replace("%%", "%") if kind != "windows" else "a&b<c>%"
        assert READ[kind](job(folder, "a b/ingest", "100%", "$$HOME", "<&>")) == (
            f"/home/{folder}",
            ["/opt/a b/ingest", "100%", "$$HOME", "<&>"],
        )

    @pytest.mark.parametrize("char", ["\n", "\0", "\x1b", "\u2028", "\udcff"])
    def test_a_character_that_cannot_be_written_is_named(self, kind, char):
        with pytest.raises(UsageError, match="has the character"):
            READ[kind](job("a", f"b{char}c"))


def test_what_only_one_form_cannot_say_is_refused():
    for folder in ("/a ", "/a\\"):
        with pytest.raises(UsageError, match="ends with a blank or a backslash"):
            systemd.installation(Job("ingest", ("/p",), folder, 6, 0))
    for word in ("%PATH%", "$(Arg0)"):
        with pytest.raises(UsageError, match="Task Scheduler replaces"):
            windows.installation(Job("ingest", ("/p", word), "/a", 6, 0))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
@pytest.mark.parametrize("folder", ["plain", ODD])
def test_systemd_takes_its_units(folder, tmp_path):
    program = tmp_path / folder / "ingest"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    home = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    with patch.dict(os.environ, home):
        files = systemd.installation(
            Job("ingest", (str(program), "run", "$HOME", "%h"), str(program.parent), 6, 0)
        ).files
        for path, data in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        command = ["systemd-analyze", "verify", "--man=no", "--user", *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Failed to initialize manager" in done.stderr:
        pytest.skip(done.stderr)
    assert (done.returncode, done.stderr) == (0, "")


@UNIX
def test_a_shell_runs_what_cron_hands_to_it(tmp_path):
    folder = tmp_path / ODD
    folder.mkdir()
    program = folder / "ingest"
    program.write_text('#!/bin/sh\npwd > out; printf "%s\\n" "$@" >> out\n')
    program.chmod(0o755)
    words = ["--config", str(folder / "config.toml"), "$HOME", "*", "\\%"]
    command = cron.installation(Job("ingest", (str(program), *words), str(folder), 6, 0), b"").shown.split(" ", 5)[5]
    subprocess.run(["/bin/sh", "-c", unescaped_cron(command)], env={}, check=True)
    assert (folder / "out").read_text().splitlines() == [str(folder), *words]


class TestTheClock:
    @pytest.fixture
    def zone(self, monkeypatch):
        def zone(name):
            monkeypatch.setenv("TZ", name)
            time.tzset()

        yield zone
        monkeypatch.undo()
        time.tzset()

    @UNIX
    @pytest.mark.parametrize(("name", "begins"), [("UTC", "5 6"), ("Asia/Kathmandu", "50 11"), ("Etc/GMT+12", "5 18")])
    def test_cron_and_launchd_begin_at_that_time_of_this_computer(self, zone, name, begins):
        zone(name)
        steps = cron.installation(job("a", "b"), b"")
        assert steps.shown.startswith(f"{begins} * * * ")
        (data,) = launchd.installation(job("a", "b")).files.values()
        at = plistlib.loads(data)["StartCalendarInterval"]
        assert f"{at['Minute']} {at['Hour']}" == begins
        assert "on this computer's clock today" in steps.notes[0]


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """A home, and programs that note how they are called, in place of the system's."""
    folder = tmp_path / "fakes"
    (folder / "bin").mkdir(parents=True)
    for name in PROGRAMS.values():
        (folder / "bin" / name).write_text(FAKE)
        (folder / "bin" / name).chmod(0o755)
    (tmp_path / "home").mkdir()
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FAKES", str(folder))
    return folder


def calls(fakes):
    path = fakes / "calls"
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def place(tmp_path):
    (tmp_path / "own settings").mkdir()
    (tmp_path / "own settings" / "config.toml").touch()
    return Place(tmp_path / "cache", "http://127.0.0.1:9")


CONFIG = ("--config", "own settings/config.toml")


def removal_told(installed):
    """The command that removes a schedule, as its installation names it."""
    return shlex.split(installed.out.rpartition("Installed. `")[2].partition("`")[0])[1:]


def files_of(tmp_path):
    return sorted(path for path in (tmp_path / "home").rglob("*") if path.is_file())


@UNIX
@pytest.mark.parametrize("kind", KINDS)
class TestInstalling:
    def test_it_is_shown_installed_and_removed(self, kind, place, fakes, tmp_path):
        shown = place.here("schedule", "show", "--kind", kind, *CONFIG)
        assert (shown.code, shown.err) == (0, "")
        assert "Not installed" in shown.out
        assert str(tmp_path / "own settings" / "config.toml") in shown.out
        assert files_of(tmp_path) == []
        assert [one for one in calls(fakes) if "-l" not in one and "/Query" not in one] == []

        done = place.here("schedule", "install", "--kind", kind, "--yes", *CONFIG)
        assert (done.code, done.err) == (0, "")
        assert done.out.endswith(" removes it.\n")
        files = files_of(tmp_path)
        assert all(MARK in path.read_bytes().replace(b"\0", b"").decode(errors="ignore") for path in files)
        assert len(files) == {"systemd": 2, "cron": 0}.get(kind, 1)
        assert kind == "cron" or any(b"own settings" in path.read_bytes().replace(b"\0", b"") for path in files)
        assert "This is installed." in place.here("schedule", "show", "--kind", kind, *CONFIG).out
        other = place.here("schedule", "show", "--kind", kind, *CONFIG, "--time", "07:30")
        assert "Something else is installed" in other.out

        removed = place.here(*removal_told(done), "--yes")
        assert (removed.code, removed.err) == (0, "")
        assert files_of(tmp_path) == []
        assert "Not installed" in place.here("schedule", "show", "--kind", kind, *CONFIG).out
        again = place.here("schedule", "remove", "--kind", kind, "--yes")
        assert (again.code, again.out) == (0, f"Nothing is scheduled as ingest by {kind}.\n")

    def test_nothing_is_done_unasked(self, kind, place, fakes, tmp_path):
        for how, code in ((("--dry-run",), 0), ((), 2)):
            done = place.here("schedule", "install", "--kind", kind, *CONFIG, *how)
            assert (done.code, "--yes confirms" in done.err) == (code, code == 2)
        assert files_of(tmp_path) == []
        assert not (fakes / "table").exists()
        place.here("schedule", "install", "--kind", kind, "--yes", *CONFIG)
        before = [path.read_bytes() for path in (*files_of(tmp_path), *fakes.glob("ta*"))]
        assert before
        for how, code in ((("--dry-run",), 0), ((), 2)):
            assert place.here("schedule", "remove", "--kind", kind, *how).code == code
        assert [path.read_bytes() for path in (*files_of(tmp_path), *fakes.glob("ta*"))] == before

    def test_another_name_is_another_schedule(self, kind, place, fakes, tmp_path):
        for name in ("ingest", "coins"):
            done = place.here(
                "schedule", "install", "--kind", kind, "--yes", *CONFIG, "--name", name, "-d", "crypto-day"
            )
            assert done.code == 0
        before = len(files_of(tmp_path))
        assert place.here(*removal_told(done), "--yes").code == 0
        assert len(files_of(tmp_path)) == before / 2
        first = place.here("schedule", "show", "--kind", kind, *CONFIG, "-d", "crypto-day")
        assert "This is installed." in first.out
        place.here("schedule", "install", "--kind", kind, "--yes", *CONFIG, "--name", name, "-d", "crypto-day")
        assert place.here("schedule", "remove", "--kind", kind, "--yes").code == 0
        shown = place.here("schedule", "show", "--kind", kind, *CONFIG, "--name", "coins", "-d", "crypto-day", "--json")
        told = json.loads(shown.out)
        assert (told["installed"], told["name"]) == ("yes" if kind != "windows" else told["installed"], "ingest-coins")
        assert told["command"][-2:] == ["--dataset", "crypto-day"] or told["command"][-1] == "--quiet"

    def test_without_its_program_nothing_is_written(self, kind, place, fakes, tmp_path):
        (fakes / "bin" / PROGRAMS[kind]).unlink()
        with patch.dict(os.environ, {"PATH": str(fakes / "bin")}):
            done = place.here("schedule", "install", "--kind", kind, "--yes", *CONFIG)
        assert done.code == 2
        assert f"there is no {PROGRAMS[kind]} here" in done.err
        assert files_of(tmp_path) == []

    def test_a_refusal_of_the_system_is_told(self, kind, place, fakes):
        (fakes / "fails").write_text("no bus\n")
        done = place.here("schedule", "install", "--kind", kind, "--yes", *CONFIG)
        assert (done.code, "ended with 1: no bus" in done.err) == (5, True)
        if kind == "cron":
            assert calls(fakes) == ["crontab -l"]  # a crontab that cannot be read must not be replaced


@UNIX
class TestWhatIsNotItsOwn:
    @pytest.mark.parametrize("kind", ["systemd", "launchd", "windows"])
    @pytest.mark.parametrize("command", ["install", "remove"])
    def test_a_file_stays(self, kind, command, place, fakes, tmp_path):
        place.here("schedule", "install", "--kind", kind, "--yes", *CONFIG)
        path = files_of(tmp_path)[-1]
        path.write_text("[Unit]\nDescription=by hand\n")
        before = calls(fakes)
        done = place.here("schedule", command, "--kind", kind, "--yes", *(CONFIG if command == "install" else ()))
        assert done.code == 2
        assert f"{path} was not written by `ingest schedule`" in done.err
        assert path.read_text() == "[Unit]\nDescription=by hand\n"
        shown = place.here("schedule", "show", "--kind", kind, *CONFIG)
        assert (shown.code, "did not write" in shown.out, "own settings" in shown.out) == (0, True, True)
        assert [one for one in calls(fakes)[len(before) :] if "/Query" not in one] == []

    def test_a_task_stays(self, place, fakes):
        (fakes / "task").write_text("<Task/>")
        done = place.here("schedule", "install", "--kind", "windows", "--yes", *CONFIG)
        assert (done.code, "was not made by" in done.err) == (2, True)
        assert (fakes / "task").read_text() == "<Task/>"

    @pytest.mark.parametrize("table", [b"0 1 * * * other \xff\r\n# a comment\n", b"MAILTO=me\n1 2 3 4 5 no end", b""])
    def test_the_other_lines_of_a_crontab_stay(self, table, place, fakes):
        (fakes / "table").write_bytes(table)
        assert place.here("schedule", "install", "--kind", "cron", "--yes", *CONFIG).code == 0
        assert place.here("schedule", "install", "--kind", "cron", "--yes", *CONFIG, "--time", "7:00").code == 0
        found = (fakes / "table").read_bytes()
        assert found.startswith(table)
        assert found.count(MARK.encode()) == 1
        assert place.here("schedule", "remove", "--kind", "cron", "--yes").code == 0
        assert (fakes / "table").read_bytes().rstrip(b"\n") == table.rstrip(b"\n")


@UNIX
def test_a_timer_that_is_running_gets_its_new_time(place, fakes):
    assert place.here("schedule", "install", "--kind", "systemd", "--yes", *CONFIG).code == 0
    assert calls(fakes)[-1] == "systemctl --user restart ingest.timer"


def test_a_folder_in_which_the_run_would_begin_no_cache_is_refused(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    with patch.dict(os.environ, {"XDG_CONFIG_HOME": str(tmp_path)}):
        for name in [name for name in os.environ if name.startswith("INGEST_")]:
            del os.environ[name]
        with pytest.raises(UsageError, match="is a source tree"):
            job_of("ingest", "06:00", "6h", (), None, quiet=True)
        (tmp_path / "config.toml").touch()
        assert job_of("ingest", "06:00", "6h", (), None, quiet=True).folder == str(tmp_path)


@UNIX
def test_no_name_hides_one_of_the_system(place, fakes, tmp_path):
    done = place.here("schedule", "install", "--kind", "systemd", "--yes", *CONFIG, "--name", "dbus")
    assert (done.code, [path.name for path in files_of(tmp_path)]) == (0, ["ingest-dbus.service", "ingest-dbus.timer"])
    assert place.here("schedule", "remove", "--kind", "systemd", "--yes", "--name", "dbus").code == 0
    assert files_of(tmp_path) == []


def test_a_program_that_is_there_for_now_is_named(place, fakes, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.prefix", "/opt/ingest")
    assert "may be removed at any time" not in place.here("schedule", "show", "--kind", "cron", *CONFIG).out
    monkeypatch.setattr("sys.prefix", str(tmp_path / "home" / ".cache" / "uv" / "x"))
    assert "may be removed at any time" in place.here("schedule", "show", "--kind", "cron", *CONFIG).out


@UNIX
def test_it_asks_on_a_terminal(place, fakes, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for answer, installed in (("n\n", False), ("y\n", True)):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        assert place.here("schedule", "install", "--kind", "cron", *CONFIG).code == 0
        assert (fakes / "table").exists() is installed


@UNIX
def test_each_platform_has_its_way(place, fakes, monkeypatch, tmp_path):
    monkeypatch.setattr("ingest.cli.schedule.kinds._BOOTED_BY_SYSTEMD", tmp_path)
    for platform, booted, kind in (
        ("darwin", tmp_path, "launchd"),
        ("win32", tmp_path, "windows"),
        ("linux", tmp_path, "systemd"),
        ("linux", tmp_path / "none", "cron"),
    ):
        monkeypatch.setattr("ingest.cli.schedule.kinds._BOOTED_BY_SYSTEMD", booted)
        monkeypatch.setattr("ingest.cli.schedule.kinds.sys.platform", platform)
        assert json.loads(place.here("schedule", "show", "--json", *CONFIG).out)["scheduler"] == kind


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--time", "25:00"), "--time '25:00': must be hours and minutes in UTC"),
        (("--wait", "6"), "--wait '6': must be a duration"),
        (("--kind", "at"), "--kind 'at': must be systemd, launchd, windows or cron"),
        (("--name", "../x"), "--name '../x': must be of a-z"),
        (("-d", "none-day"), "none-day"),
        (("--config", "none.toml"), "none.toml"),
    ],
)
def test_a_wrong_flag_is_named(place, flags, words):
    done = place.here("schedule", "show", *flags)
    assert (done.code, words in done.err) == (2, True), done.err


def test_variables_that_the_run_does_not_get_are_named(place, fakes):
    said = place.here("schedule", "show", "--kind", "cron", *CONFIG, AWS_SECRET_ACCESS_KEY="YOUR_SECRET_KEY").out
    assert "AWS_SECRET_ACCESS_KEY" in said
    assert "INGEST_CACHE__ROOT" in said
    assert "YOUR_SECRET_KEY" not in said


@UNIX
def test_the_line_of_cron_runs_in_cron_s_bare_environment(place, fakes, server, loopback_keys, tmp_path):
    """With the file of the newest session there, so that it waits for nothing."""
    due = newest_due(STOCKS_DAY, today())
    server.put(key(due), packed_day(due))
    folder = tmp_path / "it's 100%"
    folder.mkdir()
    (folder / "config.toml").write_text(
        f'[source]\nendpoint_url = "{server.endpoint_url}"\n[tracked]\ntickers = ["AAPL"]\n[fallback]\n'
        "enabled = false\n[run]\nmonths = 1\n"
    )
    home = tmp_path / "home"
    (home / ".aws").mkdir()
    shutil.copy(loopback_keys, home / ".aws" / "credentials")
    done = place.here("schedule", "install", "--kind", "cron", "--yes", "--config", folder / "config.toml")
    assert done.code == 0, done.err
    command = (fakes / "table").read_text().rstrip("\n").split(" ", 5)[5]
    bare = {"HOME": str(home), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "LOGNAME": "me"}
    ran = subprocess.run(
        ["/bin/sh", "-c", unescaped_cron(command)], env=bare, capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert (folder / "cache" / "data_cache" / "AAPL_1d_data.csv").exists()
