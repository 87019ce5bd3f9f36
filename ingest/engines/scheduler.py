"""The connection to a Dask scheduler: its address, a client in time or an error that says why, and its log."""

import json
import logging
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from ingest.errors import EngineLost, UsageError

_R = TypeVar("_R")

_CONNECT_S = 10.0
_CLOSE_S = 2.0

_LOGGERS = ("distributed", "tornado")


def address_of(said: str) -> str:
    """The address of a scheduler in Dask's own spelling: `tcp://host:port` or `tls://host:port`.

    `said` is that, or begins with `dask://`, or is the path of a scheduler's file. Raises UsageError.
    """
    if "://" in said:
        return "tcp://" + said.removeprefix("dask://") if said.startswith("dask://") else said
    try:
        return str(json.loads(Path(said).expanduser().read_text(encoding="utf-8"))["address"])
    except FileNotFoundError as error:
        raise UsageError(
            f"[engine] address {said}: no such file, which a scheduler would have written at its start; the "
            "address of a scheduler begins with dask:// or tls://"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UsageError(f"[engine] address {said} is not the file of a Dask scheduler: {error}") from error


def is_open(address: str) -> bool:
    """Whether the address is reached without TLS, and not on this computer alone."""
    scheme, _, place = address.partition("://")
    host = place.rpartition(":")[0].strip("[]")
    if scheme == "tls" or host == "localhost":
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


def connected(address: str) -> Any:
    """A client of the scheduler, within some seconds.

    Raises UsageError if `distributed` is not installed, the address is not one, or there is no certificate for TLS;
    EngineLost if no scheduler answers.
    """
    try:
        client = _in_time(partial(_client, address))
    except ImportError as error:
        raise UsageError("[engine] kind dask needs Dask: pip install 'ingest[dask]'") from error
    except OSError as error:  # its TimeoutError is one, too
        raise EngineLost(f"no Dask scheduler answers at {address}{_why(error)}; {_advice(address)}") from error
    except TypeError as error:  # of an SSL context that is missing
        raise UsageError(
            f"[engine] address {address}: Dask knows no certificate; its own configuration names the files for TLS "
            "(distributed.comm.tls)"
        ) from error
    except (ValueError, RuntimeError) as error:  # a scheme or a port that is none
        raise UsageError(f"[engine] address {address}: {error}") from error
    if client is None:
        raise EngineLost(f"{address} does not answer like a Dask scheduler; {_advice(address)}")
    return client


def _client(address: str) -> Any:
    from distributed import Client

    class QuietClient(Client):
        """One whose end is not worth a traceback: it may have no scheduler by then, or never had one."""

        def __del__(self) -> None:
            with suppress(Exception):
                super().__del__()  # type: ignore[no-untyped-call]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions: those that matter are compared
        return QuietClient(address, timeout=_CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]


def _in_time(work: Callable[[], _R]) -> _R | None:
    """The result of a call; None if there is none in time: what accepts a connection and is silent is not given up.

    Not by a pool of threads: at its end the program would wait for them.
    """
    done: Future[_R] = Future()

    def call() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=call, name="dask-connect", daemon=True).start()
    return done.result() if wait([done], 1.5 * _CONNECT_S).done else None


def _why(error: OSError) -> str:
    """What the innermost error said, as far as it is more than that time is over."""
    inner: BaseException = error
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__ or inner
    return f": {inner.strerror}" if isinstance(inner, OSError) and inner.strerror else ""


def _advice(address: str) -> str:
    """What to do next: nothing tells a scheduler that is down from one that speaks the other of the two protocols."""
    other = "dask:// if it runs without TLS" if address.startswith("tls://") else "tls:// if it runs with TLS"
    return f"start one there, or correct its address, which begins with {other}"


def close(client: Any) -> None:
    """Close a client, in whatever state it is."""
    with suppress(Exception):  # a client that has lost its scheduler may raise anything, and holds nothing of value
        client.close(timeout=_CLOSE_S)


class Quiet:
    """Keeps Dask's own log off stderr, where a lost scheduler would fill pages; what matters is told as an error."""

    def __init__(self) -> None:
        with suppress(ImportError):
            import distributed  # noqa: F401 - it sets the levels of its loggers

        known = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _LOGGERS]
        self._levels = {name: logging.getLogger(name).level for name in {*known, *_LOGGERS}}
        for name in self._levels:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    def restore(self) -> None:
        """Let the log be as it was."""
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)
