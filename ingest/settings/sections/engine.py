"""Where sessions are downloaded and split: the section [engine]."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from ingest.errors import WrongArgument
from ingest.settings.section import Section, seconds
from ingest.settings.values import Seconds, split_url

Kind = Literal["local", "processes", "dask"]

_FILE = ".json"
_ADDRESS = '"tcp://HOST:PORT" or "tls://HOST:PORT" of a Dask scheduler, or the name of its file, *.json; or ""'
_FLAG = "must be local, processes, dask://HOST:PORT, tls://HOST:PORT or the file of a scheduler, *.json"
_SCHEMES = {"tcp", "tls"}
_DASK = "dask://"


def _address(text: str) -> str:
    if not text:
        return text
    if is_file(text):
        return _own(text)
    text = f"tcp://{text.removeprefix(_DASK)}" if text.startswith(_DASK) else text
    parts = split_url(text)
    if parts.scheme not in _SCHEMES or not parts.hostname or not parts.port:
        raise ValueError("it must be dask://HOST:PORT or tls://HOST:PORT")
    if parts.username is not None or parts.password is not None or parts.path or parts.query or parts.fragment:
        raise ValueError("nothing but a host and a port belongs in it")
    return text


def _own(name: str) -> str:
    try:
        return str(Path(name).expanduser())
    except RuntimeError as error:
        raise ValueError("the home folder is not known") from error


def is_file(address: str) -> bool:
    """Whether an address is the name of the file in which a scheduler says where it is."""
    return "://" not in address and address.endswith(_FILE)


class EngineSettings(Section):
    """Which processes download and split sessions: this one, more of this machine, or the workers of a cluster.

    `no_workers_after_s` is how many seconds a run waits for a worker if none is there.
    """

    kind: Kind = Field(default="local", description='"local", "processes" or "dask"')
    address: Annotated[str, AfterValidator(_address)] = Field(default="", description=_ADDRESS)
    no_workers_after_s: Seconds = seconds(60, 86_400)

    @field_validator("address")
    @classmethod
    def _known(cls, address: str, info: ValidationInfo) -> str:
        if info.data.get("kind") == "dask" and not address:
            raise ValueError('kind is "dask", so name the scheduler')
        return address


def parse_engine(text: str | None) -> Mapping[str, Any]:
    """The settings that a flag such as `dask://scheduler:8786` stands for. Raises UsageError."""
    if text is None:
        return {}
    if text in ("local", "processes"):
        return {"kind": text}
    try:
        return {"kind": "dask", "address": _address(text or "none")}
    except ValueError as error:
        said = repr(text) if "@" not in text else "an address with a name or password"
        raise WrongArgument("engine", f"{said}: {_FLAG}") from error
