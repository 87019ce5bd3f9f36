"""The container's files: what they copy exists, what they call parses, and the nightly loop ends when it is told."""

import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer.main
import yaml

from ingest.cli.app import app
from ingest.settings.model import SECTIONS, variable
from ingest.sources.massive.origins import OWN_VARIABLES

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "container"
LINES = (FOLDER / "Containerfile").read_text().splitlines()
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


def instructions(name):
    return [line.partition(" ")[2] for line in LINES if line.startswith(f"{name} ")]


def parses(words):
    group = typer.main.get_command(app)
    command = group.commands[words[0]]
    command.make_context(words[0], list(words[1:])).close()


def test_what_is_copied_is_in_the_repository_and_reaches_the_builder():
    copied = [word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]]
    sent = (FOLDER / "Containerfile.dockerignore").read_text().split()
    assert [one for one in copied if not (ROOT / one).exists() or f"!{one}" not in sent] == []
    assert {"ingest", "pyproject.toml", "README.md", "LICENSE"} <= set(copied)  # what the build of a wheel reads


def test_it_runs_as_a_number_that_is_not_root_and_stops_gently():
    assert [int(user) > 0 for user in instructions("USER")] == [True]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]


def test_the_commands_parse_and_the_variables_exist():
    (command,) = instructions("CMD")
    parses(yaml.safe_load(command))
    check = SERVICES["nightly"]["healthcheck"]["test"]
    assert check[:2] == ["CMD", "ingest"]
    parses(check[2:])
    (line,) = re.findall(r"ingest (run [^&]*)&", SERVICES["nightly"]["command"][0])
    parses(shlex.split(line))
    known = {variable(section, name) for section, names in SECTIONS.items() for name in names}
    assert set(re.findall(r"INGEST_\w+", "\n".join(LINES))) <= known


@pytest.mark.parametrize("name", ["ingest", "nightly"])
def test_the_keys_come_from_the_environment_and_the_cache_is_a_volume(name):
    service = SERVICES[name]
    assert set(service["environment"]) == set(OWN_VARIABLES)
    for variable_, value in service["environment"].items():
        assert value.startswith(f"${{{variable_}:?")
    assert "cache:/data" in service["volumes"]
    assert "cache" in COMPOSE["volumes"]
    assert instructions("VOLUME") == ["/data"]
    assert (FOLDER / service["build"]["context"] / service["build"]["dockerfile"]).samefile(FOLDER / "Containerfile")


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
@pytest.mark.parametrize("during", ["a run", "the pause"])
def test_the_loop_passes_the_end_on_to_what_it_waits_for(tmp_path, during):
    script = SERVICES["nightly"]["command"][0].replace("$$", "$")
    told = tmp_path / "told"
    work = "while :; do sleep 0.05; done" if during == "a run" else "exit 3"
    (tmp_path / "ingest").write_text(
        f"#!/bin/sh\ntrap 'echo end >> {told}; exit 130' TERM\necho \"$@\" >> {told}\n{work}\n"
    )
    (tmp_path / "ingest").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    with subprocess.Popen(["/bin/sh", "-c", script], env=environment, start_new_session=True) as loop:
        try:
            until = time.monotonic() + 30
            while not told.exists() or not told.read_text():
                assert time.monotonic() < until
                time.sleep(0.01)
            time.sleep(0.2 if during == "the pause" else 0)
            loop.terminate()
            loop.wait(30)
        finally:
            loop.kill()
    lines = told.read_text().splitlines()
    assert lines == ["run --wait 6h --quiet --yes", *(["end"] if during == "a run" else [])]
