"""Tab, by the protocols of the shells: what is offered, and that nothing is ever printed in its place."""

import contextlib
import io
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from pipeline_kit import COMMAND, Place
from runs_kit import DAYS
from used_kit import used

from ingest.cli.app import completing
from ingest.cli.app.options import INTERVALS
from ingest.finding import FAR_COUNT, KINDS
from ingest.market.catalogue import CATALOGUE
from ingest.reading.resample import SIZES

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with used(tmp_path_factory.mktemp("used")) as made:
        made.cli("track", "add", "X:BTC-USD", "X:ETH-USD", "--list", "coins.txt", "-d", "crypto-day")
        yield made


def asked(shell: str, *words: str) -> dict[str, str]:
    """The environment by which a shell asks for the last word; bash splits at colons, as its readline does."""
    if shell == "bash":
        split = [part for word in ("ingest", *words) for part in _split(word)]
        told = {"COMP_WORDS": "\n".join(split), "COMP_CWORD": str(len(split) - 1)}
    else:
        quoted = [f"'{word}'" if " " in word else word for word in words]
        told = {"_TYPER_COMPLETE_ARGS": " ".join(["ingest", *quoted]), "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    return {"_INGEST_COMPLETE": f"complete_{shell}", **told}


def _split(word: str) -> list[str]:
    before, colon, after = word.partition(":")
    return [one for one in (before, colon, after) if one] or [""]


def offered(place: Place, shell: str, *words: str, **environment: str) -> tuple[list[str], str]:
    """What is offered, and what goes to stderr."""
    out, err = io.StringIO(), io.StringIO()
    whole = place.environment(**asked(shell, *words), **environment)
    with (
        patch.dict(os.environ, whole, clear=True),
        contextlib.chdir(place.root.parent),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.suppress(SystemExit),
    ):
        completing.read_bash_words()
        COMMAND.main(args=[], prog_name="ingest", complete_var="_INGEST_COMPLETE")
    return _words(shell, out.getvalue()), err.getvalue()


def _words(shell: str, text: str) -> list[str]:
    if shell == "zsh":
        inside = text.partition("((")[2].rpartition("))")[0]
        return [line.strip('"').replace("\\\\:", ":").partition('":"')[0] for line in inside.splitlines()]
    return [line.partition("\t")[0] for line in text.splitlines() if line]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("show", ""), ["T01"]),
        (("show", "T3"), [f"T3{n}" for n in range(10)]),
        (("export", "T39", "T38", "T3"), [f"T3{n}" for n in range(8)]),
        (("track", "add", "T0"), [f"T0{n}" for n in range(10)]),
        (("corrections", "--ticker", "T2"), [f"T2{n}" for n in range(10)]),
        (("track", "remove", "--list", "coins.txt", "-d", "crypto-day", "X"), ["X:BTC-USD", "X:ETH-USD"]),
        (("quarantine", "show", ""), [str(DAYS[2])]),
        (("quarantine", "retry", "20"), [str(DAYS[2])]),
        (("quarantine", "accept", str(DAYS[2]), ""), []),
        (("quarantine", "dismiss", "-d", "stocks-day", ""), [str(DAYS[2])]),
        (("show", "AAPL", "-i", "1"), ["1m", "15m", "1h", "1d", "1wk", "1mo"]),
        (("show", "AAPL", "-p", "y"), ["ytd"]),
        (("show", "AAPL", "--adjust", "s"), ["splits"]),
        (("export", "AAPL", "--adjust", ""), ["none", "splits", "all"]),
        (("show", "AAPL", "-d", "stocks"), [one for one in CATALOGUE if one.startswith("stocks")]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_tab_offers_what_fits(place: Place, shell: str, words: tuple[str, ...], expected: list[str]) -> None:
    assert offered(place, shell, *words) == (expected, "")


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_tab_offers_kinds_of_findings_as_the_shell_takes_them(place: Place, shell: str) -> None:
    found, _ = offered(place, shell, "findings", "--kind", "low")
    assert found == [r"low\ above\ high" if shell == "bash" else "low above high"]
    assert len(offered(place, shell, "findings", "--kind", "")[0]) == len(KINDS)


def test_a_kind_is_known_without_the_apostrophe_that_zsh_leaves_out(place: Place) -> None:
    name = FAR_COUNT.replace("'", "")
    assert name != FAR_COUNT
    assert place.here("findings", "--kind", name).code == 0
    assert place.here("findings", "--kind", f"{name} x").code == 2


def test_bash_gets_the_rest_of_a_word_with_a_colon(place: Place) -> None:
    words = ("track", "remove", "--list", "coins.txt", "-d", "crypto-day")
    assert offered(place, "bash", *words, "X:")[0] == ["BTC-USD", "ETH-USD"]
    assert offered(place, "bash", *words, "X:E")[0] == ["ETH-USD"]
    assert offered(place, "bash", *words, "X:BTC-USD", "X:")[0] == ["ETH-USD"]


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_bash_itself_completes_by_the_script(place: Place) -> None:
    script = """
eval "$(_INGEST_COMPLETE=source_bash ingest)"
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ingest_completion ingest; printf '%s\\n' "${COMPREPLY[@]}"; }
ask ingest findings --kind low
ask ingest show T0
"""
    environment = place.environment(PATH=f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}")
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env=environment, cwd=place.root.parent, capture_output=True, text=True
    )
    expected = [r"low\ above\ high", *(f"T0{n}" for n in range(10))]
    assert (done.stdout.splitlines(), done.stderr) == (expected, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_whatever_is_wrong_nothing_is_offered_and_nothing_is_printed(place: Place, shell: str, tmp_path: Path) -> None:
    asked_for = [("show", "A"), ("quarantine", "show", ""), ("track", "remove", "A"), ("corrections", "--ticker", "A")]
    config = tmp_path / "config.toml"
    config.write_text("[nonsense\n")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "manifest.sqlite").write_bytes(b"not a database" * 1000)
    for words in asked_for:
        nowhere = {"INGEST_CACHE__ROOT": str(tmp_path / "none"), "INGEST_TRACKED__TICKERS": "[]"}
        assert offered(place, shell, *words, **nowhere) == ([], "")
        assert not (tmp_path / "none").exists()
        assert offered(place, shell, *words, INGEST_CONFIG=str(config)) == ([], "")
        assert offered(place, shell, *words, INGEST_CACHE__ROOT=str(damaged)) == ([], "")
        assert offered(place, shell, "--config", str(config), *words) == ([], "")


def test_a_name_that_a_shell_would_run_is_not_offered(place: Place) -> None:
    hostile = ("A$(reboot)", "A;B", "A B", "A\x1b[31m", "A'B", "A`B`")
    with patch(
        "ingest.reading.known.beginning", lambda cache, text: [*hostile, "AB", *(f"AC{n}" for n in range(5000))]
    ):
        found, _ = offered(place, "bash", "show", "A")
    assert set(found).isdisjoint(hostile)
    assert (found[0], found[-1]) == ("AB", "AC999")
    assert len(found) <= 1001


def test_the_intervals_are_those_of_the_bars() -> None:
    assert INTERVALS == SIZES
