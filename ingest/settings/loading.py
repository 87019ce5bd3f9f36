"""Reading the settings: each place into a layer of its own, then merged, checked and anchored to a folder."""

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from ingest.errors import UsageError
from ingest.settings.folders import refuse_overlaps
from ingest.settings.model import FILE_NAME, FILE_VARIABLE, SECTIONS, Layer, Settings, argument, layer_of
from ingest.settings.personal import folder_of_root, personal_file
from ingest.settings.problems import check_names, check_variables, refusal, wrong_value
from ingest.settings.sections.cache import place
from ingest.settings.sections.engine import is_file

_MAX_BYTES = 1 << 20


def load(
    config: Path | None = None,
    given: Mapping[str, Mapping[str, Any]] | None = None,
    spelled: Callable[[str], str] = argument,
) -> Settings:
    """Read the effective settings: what is given before the environment before config.toml before defaults.

    `config` names the file; without it, `find` looks for one. `given` has values by section and name, such as
    {"source": {"concurrency": 8}}; None means that one was not given. `spelled` says in messages how the caller gave
    it: by default as an argument. Relative paths start at the folder of the file (without one, at the working folder),
    given ones at the working folder; a relative root of the user's own file at the platform's folder for data.

    Raises UsageError, which names each invalid setting, its place and what is allowed; or two overlapping folders or
    files of the cache.
    """
    try:
        layers = _layers(config, given or {}, spelled)
    except OSError as error:
        raise UsageError(f"the settings cannot be read: {error}") from error
    try:
        settings = Settings(**_merged(layers))
    except ValidationError as error:
        raise refusal(wrong_value(layers, one) for one in error.errors()) from error
    anchored = _anchored(settings, layers)
    refuse_overlaps(anchored)
    return anchored


def find(config: Path | None = None) -> Path | None:
    """The file to read: `config`, else INGEST_CONFIG, ./config.toml, or the one in the user's config folder.

    None if there is no such file. Raises UsageError if a named file does not exist.
    """
    named = _named(config)
    if named:
        return named
    here = Path.cwd() / FILE_NAME
    if here.is_file():
        return here
    personal = personal_file()
    return personal if personal and personal.is_file() else None


def places() -> tuple[Path, ...]:
    """Where `find` looks for a file that nobody names, in this order."""
    return tuple(path for path in (Path.cwd() / FILE_NAME, personal_file()) if path)


def _named(config: Path | None) -> Path | None:
    text = str(config) if config is not None else os.environ.get(FILE_VARIABLE, "")
    if not text:
        return None
    try:
        path = Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(f"{text}: the home folder is not known") from error
    if not path.is_file():
        named = "" if config is not None else f" ({FILE_VARIABLE})"
        raise UsageError(f"no settings file {path}{named}")
    return path


def _layers(
    config: Path | None, values: Mapping[str, Mapping[str, Any]], spelled: Callable[[str], str]
) -> tuple[Layer, ...]:
    here = Path.cwd()
    file = find(config)
    folder = file.parent if file else here
    check_variables(os.environ)
    given = {part: {k: v for k, v in names.items() if v is not None} for part, names in values.items()}
    defaults = Settings().model_dump()
    layers = [Layer("argument", given, here, spelled=spelled), Layer("environment", _Environment(Settings)(), folder)]
    layers += [_file_layer(file)] if file else []
    asked = config is not None or os.environ.get(FILE_VARIABLE)
    check_names(layers, unasked=file == here / FILE_NAME and not asked)
    return (*layers, Layer("default", defaults, folder))


class _Environment(EnvSettingsSource):
    """INGEST_SECTION__NAME; a list that is not JSON is left to validation, which names its variable."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except (ValueError, RecursionError):
            return value


def _file_layer(file: Path) -> Layer:
    if file.stat().st_size > _MAX_BYTES:
        raise UsageError(f"{file} is too large for a settings file (limit {_MAX_BYTES >> 20} MiB)")
    try:
        values = TomlConfigSettingsSource(Settings, file).toml_data
    except tomllib.TOMLDecodeError as error:
        bom = file.read_bytes().startswith(b"\xef\xbb\xbf")
        hint = "; save the file without a byte order mark" if bom else ""
        raise UsageError(f"{file} is not valid TOML: {error}{hint}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"{file} is not UTF-8 (line {line})") from error
    except (ValueError, RecursionError) as error:  # Python's own limits: a number of thousands of digits, deep nesting
        raise UsageError(f"{file} cannot be read as TOML: {error}") from error
    return Layer("file", values, file.parent, file)


def _merged(layers: tuple[Layer, ...]) -> dict[str, Any]:
    merged: dict[str, Any] = {section: {} for section in SECTIONS}
    for layer in reversed(layers):
        for section, names in layer.values.items():
            merged[section].update(names)
    return merged


def _anchored(settings: Settings, layers: tuple[Layer, ...]) -> Settings:
    named = (("cache", "root"), ("tracked", "lists"), ("tracked", "datasets"))
    root, lists, others = (layer.folder if (layer := layer_of(layers, *one)) else Path() for one in named)
    if layer := layer_of(layers, "cache", "root"):
        root = folder_of_root(layer, settings.cache.root, next((one.file for one in layers if one.file), None))
    cache = settings.cache.model_copy(update={"root": place(root, settings.cache.root)})
    tracked = settings.tracked.model_copy(
        update={
            "lists": tuple(place(lists, path) for path in settings.tracked.lists),
            "datasets": {
                name: tuple(place(others, path) for path in paths) for name, paths in settings.tracked.datasets.items()
            },
        }
    )
    run = settings.run.model_copy(update=_files(settings, "run", ("log_file", "metrics_file"), layers))
    report = settings.report.model_copy(update=_files(settings, "report", ("path",), layers))
    addressed = _files(settings, "engine", ("address",), layers) if is_file(settings.engine.address) else {}
    engine = settings.engine.model_copy(update=addressed)
    anchored = settings.model_copy(
        update={"cache": cache, "tracked": tracked, "engine": engine, "run": run, "report": report}
    )
    anchored._layers = layers
    return anchored


def _files(settings: Settings, section: str, names: Sequence[str], layers: tuple[Layer, ...]) -> dict[str, str]:
    """The files that these settings name, each in the folder of what set it."""
    named = {name: str(file) for name in names if (file := getattr(getattr(settings, section), name))}
    folders = {name: layer.folder for name in named if (layer := layer_of(layers, section, name))}
    return {name: str(place(folders.get(name, Path()), Path(file))) for name, file in named.items()}
