"""Ctrl-C while modules are imported: it is heard once they are, with exit code 130 and no traceback."""

import sys

import pytest
from lake_kit import DAYS
from pipeline_kit import Place, market_objects, window

from ingest.demo.servers import loopback

PRESSED = """
import signal, sys

_, at, times, last, *arguments = sys.argv
sys.argv = ["ingest", *arguments]

class Presses:
    def find_spec(self, name, *_):
        if name == at:
            for _ in range(int(times)):
                signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Presses())
from ingest.__main__ import main
try:
    main()
finally:
    print(last in sys.modules)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory, environment):
    with loopback.serve(market_objects(DAYS)) as server:
        place = Place(tmp_path_factory.mktemp("imports") / "cache", server.endpoint_url, lake=True, iceberg=True)
        place.run(*window(DAYS))
        yield place


@pytest.mark.parametrize(
    ("at", "last"),
    [("ingest.cli.app.lake", "ingest.cli.app.config"), ("pyiceberg.manifest", "ingest.lake.iceberg.tables")],
)
@pytest.mark.parametrize("command", ["status", "build"])
def test_an_import_ends_before_ctrl_c_is_heard(at, last, command, place):
    told = place.ended([sys.executable, "-c", PRESSED, at, "1", last, "lake", command])
    assert (told.returncode, told.stdout, told.stderr) == (130, "True\n", "")


@pytest.mark.parametrize("times", [1, 2])
def test_a_run_imports_its_source_before_ctrl_c_is_heard(times, place):
    last = "ingest.sources.massive.session"
    run = ["run", "--start", str(DAYS[0]), "--end", str(DAYS[-1])]
    told = place.ended([sys.executable, "-c", PRESSED, "aiohttp", str(times), last, *run])
    assert (told.returncode, told.stdout.splitlines()[-1], "Traceback" in told.stderr) == (130, "True", False)


@pytest.mark.parametrize("command", [["list", "--start", str(DAYS[0])], ["run", "--dry-run"], ["check"]])
def test_a_second_ctrl_c_while_a_command_connects_causes_no_traceback(command, place):
    connecting = "import ssl\nssl.SSLContext.load_verify_locations = lambda *_, **__: Presses().find_spec(at)\n"
    program = PRESSED.replace("from ingest", f"{connecting}from ingest")
    told = place.ended([sys.executable, "-c", program, "no module", "2", "ssl", *command])
    assert (told.returncode, "Traceback" in told.stderr) == (130, False)
