"""What is made of an address, and of the answers of Dask's client, without a cluster."""

import json
import socket
import sys
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from ingest.engines import dask, scheduler
from ingest.errors import EngineLost, UsageError
from ingest.settings import EngineSettings

pytest.importorskip("distributed")

WORKER = {"nthreads": 1, "last_seen": 1.0, "status": "running"}


def test_an_address_may_be_written_in_several_ways(tmp_path):
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": "tcp://10.0.0.5:8786", "workers": {}}))
    assert scheduler.address_of(str(file)) == "tcp://10.0.0.5:8786"
    assert scheduler.address_of("dask://host:1") == "tcp://host:1"
    assert scheduler.address_of("tls://host:1") == "tls://host:1"


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", "\ud800"])
def test_a_file_that_is_no_schedulers_is_named(tmp_path, text):
    file = tmp_path / "scheduler.json"
    if text is not None:
        file.write_text(text, errors="surrogatepass")
    with pytest.raises(UsageError, match=r"scheduler\.json"):
        scheduler.address_of(str(file))


@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        ("tcp://127.0.0.1:1", False),
        ("tcp://localhost:1", False),
        ("tcp://[::1]:1", False),
        ("tls://10.0.0.5:1", False),
        ("tcp://10.0.0.5:1", True),
        ("tcp://scheduler:1", True),
    ],
)
def test_only_an_address_that_others_reach_without_tls_is_open(address, is_open):
    assert scheduler.is_open(address) is is_open


@pytest.mark.parametrize("address", ["tls://127.0.0.1:1", "tcp://127.0.0.1:1"])
def test_nobody_answers_there(address, monkeypatch):
    monkeypatch.setattr(scheduler, "_CONNECT_S", 0.2)
    with pytest.raises((EngineLost, UsageError), match=address):
        dask.open_dask(EngineSettings(kind="dask", address=address))


def test_nobody_answers_there_and_it_says_what_to_do_next(monkeypatch):
    monkeypatch.setattr(scheduler, "_CONNECT_S", 0.2)
    with pytest.raises(EngineLost, match=r"start one there, .*tls:// if it runs with TLS"):
        dask.open_dask(EngineSettings(kind="dask", address="tcp://127.0.0.1:1"))


def test_without_dask_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'ingest\[dask\]'"):
        dask.open_dask(EngineSettings(kind="dask", address="tcp://127.0.0.1:1"))


def test_a_program_that_is_no_scheduler_and_silent_is_given_up(monkeypatch):
    monkeypatch.setattr(scheduler, "_CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(EngineLost, match=address):
            dask.open_dask(EngineSettings(kind="dask", address=address))


class Client:
    """A client whose first answer is that of a question of its own: it names no workers."""

    status = "running"

    def __init__(self):
        self.answers = [{}, {"tcp://a": WORKER}]

    def get_executor(self, **how):
        assert how == {"pure": False}
        return SimpleNamespace(submit=lambda work, task, key: Future())

    def processing(self):
        return {}

    def scheduler_info(self, n_workers):
        workers = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return {"id": "scheduler", "n_workers": 1, "workers": workers}


def test_an_answer_that_leaves_workers_out_is_asked_for_again():
    cluster = dask.DaskCluster(Client(), "tcp://127.0.0.1:1", scheduler.Quiet())
    cluster._ask()
    assert cluster._roster.unknown == ["tcp://a"]


def test_a_lost_scheduler_stays_lost():
    client = Client()
    cluster = dask.DaskCluster(client, "tcp://127.0.0.1:1", scheduler.Quiet())
    assert cluster.ended() is None
    client.status = "connecting"
    assert "lost" in cluster.ended()
    client.status = "running"
    assert "lost" in cluster.ended()


def test_a_task_that_was_sent_since_the_scheduler_was_asked_may_have_begun(monkeypatch):
    now = 100.0
    monkeypatch.setattr(dask, "time", SimpleNamespace(monotonic=lambda: now))
    cluster = dask.DaskCluster(Client(), "tcp://127.0.0.1:1", scheduler.Quiet())
    cluster._ask()
    call = cluster.submit(str, 1)
    assert not cluster.recall(call)
    now = 101.0  # the scheduler may be busy
    cluster._ask()
    assert not cluster.recall(call)
    now = 110.5
    cluster._ask()
    assert (cluster.recall(call), call.cancelled()) == (True, True), "no worker has it"
