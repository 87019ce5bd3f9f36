"""Where keys come from: the order of the places, and what is said of keys that cannot be right."""

from datetime import date

import anyio
import pytest
from pipeline_kit import Place, market_objects, trading_days, window, write_keys

from ingest.demo.servers import loopback
from ingest.errors import SourceRefused, UsageError
from ingest.maintenance.check import check

DAYS = trading_days(date(2025, 3, 3), 1)
SECRET = "secret-of-the-loopback"
OWN = ("MASSIVE_S3_ACCESS_KEY", "MASSIVE_S3_SECRET_KEY")
AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture(scope="module")
def source():
    """A source that lets only the key RIGHT read."""
    with loopback.serve(market_objects(DAYS), access_keys={"RIGHT"}) as server:
        yield server


@pytest.fixture
def place(source, tmp_path, loopback_keys, monkeypatch):
    for name in (*OWN, *AWS, "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    loopback_keys.unlink()
    return Place(tmp_path / "cache", source.endpoint_url)


@pytest.fixture
def put(monkeypatch, loopback_keys):
    """Put a pair of keys into a place."""

    def into(where, access_key, secret=SECRET):
        if where in (OWN, AWS):
            for name, value in zip(where, (access_key, secret), strict=True):
                monkeypatch.setenv(name, value)
        else:
            write_keys(loopback_keys, access_key, secret)

    return into


def keys_said(place, **source):
    """What `check` says about the keys."""
    found = []
    anyio.run(check, place.settings(**source), found.append)
    return next(one for one in found if one.name == "keys")


ORDER = [OWN, "profile", AWS]


@pytest.mark.parametrize("first", range(3), ids=["own variables", "profile", "AWS variables"])
def test_the_first_place_with_keys_counts_and_check_names_it(place, put, loopback_keys, first):
    put(ORDER[first], "RIGHT")
    for later in ORDER[first + 1 :]:
        put(later, "WRONG")
    place.run(*window(DAYS))
    said = keys_said(place)
    names = {
        OWN: "MASSIVE_S3_ACCESS_KEY and MASSIVE_S3_SECRET_KEY in the environment",
        AWS: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
        "profile": f"[massive] in {loopback_keys}",
    }
    assert (said.passed, said.found) == (True, names[ORDER[first]])


@pytest.mark.parametrize("before", range(2))
def test_wrong_keys_in_an_earlier_place_are_not_replaced_by_right_ones_in_a_later(place, put, before):
    put(ORDER[before], "WRONG")
    put(ORDER[before + 1], "RIGHT")
    place.run(*window(DAYS), fails=SourceRefused)


def test_a_profile_of_ones_own_that_is_missing_is_not_replaced_by_aws_variables(place, put):
    put(AWS, "RIGHT")
    ran = place.run(*window(DAYS), profile="mine", fails=UsageError)
    assert "no keys under [mine]" in str(ran.error)
    assert "AWS_ACCESS_KEY_ID does not count" in str(ran.error)


@pytest.mark.parametrize("section", ["[profile massive]", '[profile "massive"]'])
def test_a_profile_in_the_other_file_comes_before_aws_variables(place, put, tmp_path, monkeypatch, section):
    (tmp_path / "config").write_text(f"{section}\naws_access_key_id = RIGHT\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    put(AWS, "WRONG")
    place.run(*window(DAYS))


def test_empty_variables_count_as_not_set_and_aws_profile_is_nobodys_business(place, put, monkeypatch):
    put(OWN, "", "")
    put(AWS, "RIGHT")
    monkeypatch.setenv("AWS_PROFILE", "of-somebody-else")
    place.run(*window(DAYS))


def test_the_token_of_aws_variables_goes_with_them(place, put, monkeypatch):
    seen = []
    handle = loopback.Server.handle

    async def noted(server, incoming):
        seen.append(incoming.headers.get("X-Amz-Security-Token"))
        return await handle(server, incoming)

    monkeypatch.setattr(loopback.Server, "handle", noted)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-the-loopback")
    put(AWS, "RIGHT")
    with loopback.serve(market_objects(DAYS)) as server:
        place.endpoint_url = server.endpoint_url
        place.run(*window(DAYS))
        assert set(seen) == {"token-of-the-loopback"}
        put(OWN, "RIGHT")
        place.run(*window(DAYS), refresh=True)
    assert seen[-1] is None


@pytest.mark.parametrize("where", [OWN, AWS])
@pytest.mark.parametrize("missing", [0, 1])
def test_one_variable_of_two_is_an_error_that_names_the_other(place, put, monkeypatch, where, missing):
    put(where, "RIGHT")
    monkeypatch.delenv(where[missing])
    put("profile", "RIGHT") if where is OWN else None
    ran = place.run(*window(DAYS), fails=UsageError)
    assert f"{where[1 - missing]} is set in the environment, but {where[missing]} is not" in str(ran.error)
    assert not keys_said(place).passed


@pytest.mark.parametrize("kept", ["aws_access_key_id = RIGHT", f"aws_secret_access_key = {SECRET}"])
def test_one_key_of_two_in_a_section_is_named(place, loopback_keys, kept):
    loopback_keys.write_text(f"[massive]\n{kept}\n")
    error = str(place.run(*window(DAYS), fails=UsageError).error)
    there, missing = sorted(("aws_access_key_id", "aws_secret_access_key"), key=lambda name: name not in kept)
    assert f"{there} is set in [massive] in {loopback_keys}, but {missing} is not" in error


BAD = {
    "double quotes": ('"{}"', "quotes around"),
    "single quotes": ("'{}'", "quotes around"),
    "typographic quotes": ("\u201c{}\u201d", "quotes around"),
    "a comment": ("{} # of the dashboard", "a comment behind"),
}
STRAY = {
    "a line end": ("{}\n", "a blank or line end"),
    "a blank before": (" {}", "a blank or line end"),
    "blanks alone": ("  ", "a blank or line end"),
}


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(("form", "flaw"), (BAD | STRAY).values(), ids=BAD | STRAY)
def test_a_key_that_was_copied_badly_is_refused_by_its_variable(place, put, form, flaw, which):
    pair = ["RIGHT", SECRET]
    pair[which] = form.format(pair[which])
    put(OWN, *pair)
    error = str(place.run(*window(DAYS), fails=UsageError).error)
    assert f"{OWN[which]} in the environment has {flaw}" in error
    assert SECRET not in error


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(("form", "flaw"), BAD.values(), ids=BAD)
def test_a_key_that_was_copied_badly_is_refused_by_its_file_and_section(place, put, loopback_keys, form, flaw, which):
    pair = ["RIGHT", SECRET]
    pair[which] = form.format(pair[which])
    put("profile", *pair)
    error = str(place.run(*window(DAYS), fails=UsageError).error)
    name = ("aws_access_key_id", "aws_secret_access_key")[which]
    assert f"{name} in [massive] in {loopback_keys} has {flaw}" in error
    assert SECRET not in error


def test_a_blank_inside_an_access_key_is_refused(place, put):
    put(OWN, "RI GHT")
    assert "a blank inside the key" in str(place.run(*window(DAYS), fails=UsageError).error)


def test_keys_under_default_are_pointed_at(place, loopback_keys):
    loopback_keys.write_text(f"[default]\naws_access_key_id = RIGHT\naws_secret_access_key = {SECRET}\n")
    error = str(place.run(*window(DAYS), fails=UsageError).error)
    assert f"no keys under [massive] in {loopback_keys}, but there are some under [default]" in error
    assert 'set [source] profile = "default"' in error
    place.run(*window(DAYS), profile="default")


def test_the_keys_themselves_are_never_shown(place, put, tmp_path):
    from ingest.sources.massive.origins import origin_of

    put(OWN, "RIGHT-AND-LONG-KEY", SECRET)
    assert SECRET not in repr(origin_of("massive"))
    told = place.here("check")
    place.here("run", "--start", str(DAYS[0]), "--end", str(DAYS[0]))
    assert "RIGHT-AND-LONG-KEY" not in told.out + told.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
