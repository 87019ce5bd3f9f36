"""Reading commands and functions without write permission: they report the same as for the cache's owner."""

import json
import re
import shutil
import sys
from datetime import date

import pytest
from pipeline_kit import Place, market_objects, trading_days, window

from ingest.demo.servers import loopback

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes"),
    pytest.mark.usefixtures("loopback_keys"),
]

DAYS = trading_days(date(2025, 3, 3), 3)

IMPORTS = """
import contextlib, io, json, os, sys
import ingest
from ingest.cli.app import app
from ingest.errors import IngestError

COMMANDS = json.loads(sys.argv[2])

def ended(*arguments):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            code = app(list(arguments), standalone_mode=False) or 0
        except IngestError as error:
            code = [error.exit_code, str(error)]
    return code, out.getvalue()

def all_of(root):
    os.environ["INGEST_CACHE__ROOT"] = root
    os.chdir(os.path.dirname(root))
    rows = ingest.history(["AAPL", "ZVZZT"]), ingest.day(DAY), ingest.scan().sort("ticker", "date").collect()
    told = [ended(*arguments) for arguments in COMMANDS]
    return [*(one.write_csv() for one in rows), told]

with open(sys.argv[1]) as file:
    OWNED, READ, DAY = json.load(file)
before = all_of(OWNED)
"""
SCRIPT = "print(json.dumps([before, all_of(READ)]))"

COMMANDS = [
    ["status"],
    ["status", "--json"],
    ["verify"],
    ["verify", "--deep"],
    ["show", "AAPL", "--no-fetch", "--adjust", "none", "--start", f"{DAYS[0]}", "--end", f"{DAYS[2]}", "--json"],
    ["corrections"],
    ["findings"],
    ["track", "list"],
    ["quarantine", "list"],
]


def _untimed(told):
    """What was told, without the times of records."""
    return re.sub(r'\\"time\\": \\"[^"]*\\"', "", json.dumps(told))


def test_a_reader_without_write_permission_sees_the_same_as_the_owner(reader, folder):
    with loopback.serve(market_objects(DAYS)) as server:
        place = Place(folder / "owned" / "cache", server.endpoint_url)
        place.run(*window(DAYS))
        shutil.copytree(place.root, folder / "other" / "cache")
    order = folder / "order.json"
    order.write_text(json.dumps([str(place.root), str(folder / "other" / "cache"), str(DAYS[1])]))
    reader.close(folder / "other")
    before, after = reader.said(IMPORTS, SCRIPT, order, json.dumps(COMMANDS), env=place.environment(HOME=str(folder)))
    told = [one for one, _ in before[-1]]
    assert told == [0] * len(COMMANDS)
    assert json.loads(_untimed(after).replace("/other/", "/owned/")) == json.loads(_untimed(before))
    assert all(len(rows.splitlines()) > 2 for rows in before[:-1])
