"""README and docs: links lead somewhere, command lines parse, flags and settings exist.

Command lines are text in backticks, and lines of code blocks, that begin with `ingest`, or have it after a prompt, a
path or `&&`.
"""

import re
import shlex
from collections.abc import Iterator
from importlib.metadata import metadata
from operator import attrgetter
from pathlib import Path

import pytest
from command_line_kit import UsageError, flags, parse

import ingest
from ingest.settings import Settings

HERE = Path(__file__).parents[2]
PAGES = {
    path.relative_to(HERE).as_posix(): path.read_text(encoding="utf-8")
    for path in (
        HERE / "README.md",
        HERE / "CHANGELOG.md",
        HERE / ".github" / "CONTRIBUTING.md",
        *sorted((HERE / "docs").glob("*.md")),
    )
    if path.exists()
}
TODAY = [name for name in PAGES if name != "CHANGELOG.md"]
"""Pages that speak of this version only."""

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_IN_A_BLOCK = re.compile(r"(?:^|[$/=] ?|&& )ingest (.+?)(?: \|\|? .*| && .*| > .*| #.*)?$", re.MULTILINE)
_INCOMPLETE = r"$|Missing|Option \S+ requires an argument"
"""What a command may be told that is named without what it needs."""


def prose(page: str) -> str:
    """A page without its blocks of code."""
    return _FENCED.sub("", PAGES[page])


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: str) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES)
def test_each_link_leads_to_a_file_and_a_heading(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = ((HERE / page).parent / path).resolve() if path else HERE / page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.relative_to(HERE).as_posix()), target


def test_the_readme_leads_to_each_page():
    linked = set(re.findall(r"\]\((docs/[\w.-]+\.md)\)", PAGES["README.md"]))
    assert {page for page in PAGES if page.startswith("docs/")} == linked


def test_the_readme_names_each_extra_that_is_for_users():
    section = PAGES["README.md"].partition("## Install it")[2].partition("\n## ")[0]
    extras = set(metadata("ingest").get_all("Provides-Extra") or ()) - _NOT_FOR_USERS
    assert extras <= set(re.findall(r"`(\w+)`", section))


_NOT_FOR_USERS = {"test", "recipes", "bench"}


def in_prose(page: str) -> list[str]:
    """What follows `ingest` between backticks."""
    return [text.partition(r"\|")[0] for text in re.findall(r"`ingest ([^`]+)`", prose(page))]


def in_blocks(page: str) -> Iterator[str]:
    """What follows `ingest` where a block is typed or copied."""
    for language, text in _FENCED.findall(PAGES[page]):
        if language in ("", "sh", "console", "ini", "text", "yaml", "powershell"):
            yield from _IN_A_BLOCK.findall(text)


@pytest.mark.parametrize("page", TODAY)
def test_each_command_in_prose_exists_with_its_flags(page):
    """A command may be named without what it needs: "`ingest export` writes", "`ingest prune --before`"."""
    wrong = {line: complaint(shlex.split(line)) for line in in_prose(page)}
    assert {line: said for line, said in wrong.items() if not re.match(_INCOMPLETE, said)} == {}


def complaint(words: list[str]) -> str:
    """What the parser says of it; empty if all is well."""
    try:
        parse(words)
    except UsageError as error:
        return error.format_message()
    return ""


@pytest.mark.parametrize("page", TODAY)
def test_each_command_line_in_a_block_parses(page):
    for line in in_blocks(page):
        parse(shlex.split(line, comments=True))


@pytest.mark.parametrize("page", TODAY)
def test_each_flag_exists(page):
    named = set(re.findall(r"`(--[a-z][\w-]*)", prose(page)))
    assert named - flags() == set()


@pytest.mark.parametrize("page", TODAY)
def test_each_setting_exists(page):
    for section, key in re.findall(r"`\[(\w+)\](?: (\w+))?", prose(page)):
        if section not in _OF_OTHER_FILES:
            fields = Settings.model_fields[section].annotation.model_fields
            assert not key or key in fields, (section, key)


_OF_OTHER_FILES = {"massive", "default", "tool"}
"""Sections of the file of keys, and of pyproject.toml."""


@pytest.mark.parametrize("page", TODAY)
def test_each_function_in_python_exists(page):
    blocks = [text for language, text in _FENCED.findall(PAGES[page]) if language == "python"]
    for text in blocks:
        compile(text, page, "exec")
    code = "\n".join([*re.findall(r"`ingest\.[^`\n]+`", prose(page)), *blocks])
    for name in re.findall(r"\bingest\.((?:[a-z_]+\.)*[a-z_]+)\(", code):
        assert callable(attrgetter(name)(ingest)), name


def test_the_commands_of_a_page_are_found():
    page = "docs/nightly.md"
    assert "verify --repair" in in_prose(page)
    assert {"run --wait 6h --quiet --yes", "status --max-age 3"} <= set(in_blocks(page))
    assert len({line for page in TODAY for line in in_prose(page)}) > 50
    with pytest.raises(UsageError, match="No such option"):
        parse(["run", "--months", "6", "--mnths"])
