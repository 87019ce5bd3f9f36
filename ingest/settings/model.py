"""What can be set: one frozen class per section, and `Settings` with all of them.

A field's description says what is allowed, and errors quote it. `config.toml` says what each setting is for.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ingest.market.catalogue import CATALOGUE, STOCKS_DAY
from ingest.market.datasets import Dataset
from ingest.settings import tuning
from ingest.settings.section import Section, seconds, whole_number
from ingest.settings.sections.cache import CacheSettings, place
from ingest.settings.sections.engine import EngineSettings
from ingest.settings.sections.lake import Lake
from ingest.settings.sections.notify import Notify
from ingest.settings.sections.report import Report
from ingest.settings.sections.store import Store
from ingest.settings.tuning import Tuning
from ingest.settings.values import (
    Bucket,
    Bytes,
    DatasetName,
    File,
    FileOrNone,
    Profile,
    Region,
    Seconds,
    SourceName,
    Ticker,
    Url,
    Whole,
    source_name,
)

ENV_PREFIX = "INGEST_"
ENV_DELIMITER = "__"
FILE_NAME = "config.toml"
FILE_VARIABLE = "INGEST_CONFIG"

_MIB = 1 << 20
_LOG_SIZE = 'a number of bytes or a size such as "10 MiB", up to 1 TiB; 0 for no limit'
_SIZE = 'a number of bytes or a size such as "64 MiB", 1 MiB to 1 TiB'


class SourceSettings(Section):
    """Where the daily files come from, and how fast they are requested. Times in seconds."""

    endpoint_url: Url = Field(
        default="https://files.massive.com",
        description="https://HOST[:PORT] (http for 127.0.0.1, localhost and [::1] alone)",
    )
    bucket: Bucket = Field(default="flatfiles", description="the name of a bucket: 3 to 63 of a-z 0-9 . -")
    same_as: SourceName = Field(
        default="",
        description='the source that the cache knows, as its refusal names it, such as "https://HOST/BUCKET"; or ""',
    )
    profile: Profile = Field(default="massive", description="the name of a section of ~/.aws/credentials")
    region: Region = Field(default="us-east-1", description="the name of a region, such as us-east-1")
    checksums: Literal["when_required", "when_supported"] = Field(
        default="when_required", description='"when_required" or "when_supported"'
    )
    concurrency: Whole = whole_number(64, 1, 512)
    connect_timeout_s: Seconds = seconds(10, 600)
    read_timeout_s: Seconds = seconds(30, 600)
    attempts: Whole = whole_number(6, 1, 20)
    low_speed_bytes_per_s: Whole = whole_number(2000, 1, 1_000_000)
    down_after_s: Seconds = seconds(45, 3600)
    max_wait_s: Seconds = seconds(900, 86_400)
    keys_timeout_s: Seconds = seconds(60, 600)

    @property
    def name(self) -> str:
        """The name by which a cache knows this source."""
        return self.same_as or source_name(f"{self.endpoint_url}/{self.bucket}")


class Tracked(Section):
    """Which tickers get a CSV of their own: files with one per line, and tickers given here.

    `lists` and `tickers` are for the daily bars of stocks, `datasets` names the files of all other datasets.
    """

    lists: tuple[File, ...] = Field(
        default=(Path("stocks.txt"), Path("ibd.txt")), description='a list of file names, such as ["stocks.txt"]'
    )
    tickers: tuple[Ticker, ...] = Field(
        default=(), description='a list of tickers without blanks or commas, such as ["AAPL", "BRK.B"]'
    )
    datasets: Mapping[DatasetName, tuple[File, ...]] = Field(
        default={}, description='a list of file names for each dataset, such as {"options-day" = ["options.txt"]}'
    )

    @field_validator("datasets", mode="before")
    @classmethod
    def _named_once(cls, lists: Any) -> Any:
        # Both names become the short one; otherwise the lists of one of them would be ignored silently.
        for one in CATALOGUE.values() if isinstance(lists, Mapping) else ():
            if one.name != one.short and one.name in lists and one.short in lists:
                raise ValueError(f"{one.name} and {one.short} are one dataset: name it once, with all its lists")
        return lists

    @field_validator("datasets")
    @classmethod
    def _others(cls, lists: Mapping[str, tuple[Path, ...]]) -> Mapping[str, tuple[Path, ...]]:
        if STOCKS_DAY.short in lists:
            raise ValueError(f"those of {STOCKS_DAY.short} are [tracked] lists")
        return lists


class Archive(Section):
    """Whether the rows of all other tickers are stored."""

    save_others: bool = Field(default=True, description="true or false")


class Limits(Section):
    """Limits on memory and disk, in bytes."""

    max_bytes_in_flight: Bytes = Field(default=64 * _MIB, ge=_MIB, le=_MIB << 20, description=_SIZE)
    max_unpacked_bytes: Bytes = Field(default=8192 * _MIB, ge=_MIB, le=_MIB << 20, description=_SIZE)


class Fallback(Section):
    """Yahoo, where Massive has no data, and what reading may download by itself."""

    enabled: bool = Field(default=True, description="true or false")
    into_csv: bool = Field(default=False, description="true or false")
    max_implicit_files: Whole = whole_number(520, 0, 10_000)


class Run(Section):
    """Defaults of `ingest run`; calendar months back from today."""

    months: Whole = whole_number(24, 1, 1200)
    datasets: tuple[DatasetName, ...] = Field(
        default=(STOCKS_DAY.short,),
        description='a list of datasets, such as ["stocks-day", "crypto-day"]',
    )

    log_file: FileOrNone = Field(default="", description='the name of a file; or ""')
    max_log_bytes: Bytes = Field(default=0, ge=0, le=_MIB << 20, description=_LOG_SIZE)
    metrics_file: FileOrNone = Field(default="", description='the name of a file; or ""')

    @field_validator("datasets")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            raise ValueError("name at least one")
        return tuple(dict.fromkeys(names))


def argument(name: str) -> str:
    """How a Python caller gives a setting."""
    return f"argument {name}"


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings of one place: values by section and name, and the folder at which its relative paths start."""

    kind: Literal["argument", "environment", "file", "default"]
    values: Mapping[str, Any]
    folder: Path
    file: Path | None = None
    spelled: Callable[[str], str] = argument

    def has(self, section: str, name: str) -> bool:
        """Whether this place has the setting."""
        return name in self.values.get(section, {})

    def origin(self, section: str, name: str) -> str:
        """Where the setting is, in the user's terms: what was given to the call, a variable, a file."""
        match self.kind:
            case "argument":
                return self.spelled(name)
            case "environment":
                return f"environment variable {variable(section, name)}"
            case "file":
                return str(self.file)
        return "built-in default"


@dataclass(frozen=True, slots=True)
class Setting:
    """One effective setting, and where its value came from; of a secret, only what may be shown."""

    section: str
    name: str
    value: Any
    origin: str


class Settings(BaseSettings):
    """All settings, validated. From `load`, its paths are absolute and it knows its origins."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_DELIMITER,
        env_ignore_empty=True,
    )

    source: SourceSettings = SourceSettings()
    cache: CacheSettings = CacheSettings()
    tracked: Tracked = Tracked()
    archive: Archive = Archive()
    limits: Limits = Limits()
    engine: EngineSettings = EngineSettings()
    fallback: Fallback = Fallback()
    run: Run = Run()
    notify: Notify = Notify()
    report: Report = Report()
    lake: Lake = Lake()
    store: Store = Store()
    _layers: tuple[Layer, ...] = PrivateAttr(default=())
    _tuning: Tuning = PrivateAttr(default_factory=lambda: tuning.DEFAULT)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only passed values count: `load` reads the other sources, one layer each."""
        return (init_settings,)

    @property
    def config_file(self) -> Path | None:
        """The config.toml that was read, if any."""
        return next((layer.file for layer in self._layers if layer.file), None)

    @property
    def tuning(self) -> Tuning:
        """The thresholds and waits of a run, which are not user settings."""
        return self._tuning

    @property
    def tracked_path(self) -> Path:
        """The folder of the tracked tier."""
        return place(self.cache.root, self.cache.tracked_dir)

    @property
    def archive_path(self) -> Path:
        """The folder of the archive tier."""
        return place(self.cache.root, self.cache.archive_dir)

    @property
    def manifest_path(self) -> Path:
        """The SQLite file that records what is done."""
        return self.cache.root / "manifest.sqlite"

    @property
    def quarantine_path(self) -> Path:
        """The folder of refused files."""
        return self.cache.root / "quarantine"

    @property
    def spool_path(self) -> Path:
        """The folder of large files that are being downloaded."""
        return self.cache.root / "spool"

    def lists_of(self, dataset: Dataset) -> tuple[Path, ...]:
        """The ticker lists of a dataset; they may be missing. By default a file such as `crypto-day.txt`."""
        if dataset.primary:
            return self.tracked.lists
        folder = self._layers[-1].folder if self._layers else Path()
        return self.tracked.datasets.get(dataset.short, (place(folder, Path(f"{dataset.short}.txt")),))

    @property
    def names_lists(self) -> bool:
        """Whether somebody has named the ticker lists, so that one that is missing is worth a word."""
        layer = layer_of(self._layers, "tracked", "lists")
        return layer is None or layer.kind != "default"

    def tickers_of(self, dataset: Dataset) -> tuple[str, ...]:
        """The tickers of a dataset that are given in the settings themselves."""
        return self.tracked.tickers if dataset.primary else ()

    def each(self) -> Iterator[Setting]:
        """Every setting in the order of config.toml, with its value and its origin."""
        for section, names in SECTIONS.items():
            for name in names:
                layer = layer_of(self._layers, section, name)
                origin = layer.origin(section, name) if layer else "set by the program"
                yield Setting(section, name, getattr(self, section).shown(name), origin)


SECTIONS: Mapping[str, Mapping[str, FieldInfo]] = {
    "source": SourceSettings.model_fields,
    "cache": CacheSettings.model_fields,
    "tracked": Tracked.model_fields,
    "archive": Archive.model_fields,
    "limits": Limits.model_fields,
    "engine": EngineSettings.model_fields,
    "fallback": Fallback.model_fields,
    "run": Run.model_fields,
    "notify": Notify.model_fields,
    "report": Report.model_fields,
    "lake": Lake.model_fields,
    "store": Store.model_fields,
}


def variable(section: str, name: str) -> str:
    """The environment variable of a setting: INGEST_SOURCE__ENDPOINT_URL."""
    return f"{ENV_PREFIX}{section}{ENV_DELIMITER}{name}".upper()


def layer_of(layers: tuple[Layer, ...], section: str, name: str) -> Layer | None:
    """The first layer that has the setting: the one in effect."""
    return next((layer for layer in layers if layer.has(section, name)), None)
