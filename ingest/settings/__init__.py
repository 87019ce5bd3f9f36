"""Settings: flags, the environment, config.toml and built-in defaults become one frozen `Settings`.

Each of the four is read into a `Layer` of its own and merged only then, so that errors and listings can say where a
value came from. The layers use pydantic-settings' own sources; a `Settings` constructed directly reads none of them,
and its paths stay as given.
"""

from ingest.settings.loading import find, load
from ingest.settings.model import (
    FILE_NAME,
    FILE_VARIABLE,
    SECTIONS,
    Archive,
    Fallback,
    Limits,
    Run,
    Setting,
    Settings,
    SourceSettings,
    Tracked,
    variable,
)
from ingest.settings.sections.cache import CacheSettings
from ingest.settings.sections.engine import EngineSettings

__all__ = [
    "FILE_NAME",
    "FILE_VARIABLE",
    "SECTIONS",
    "Archive",
    "CacheSettings",
    "EngineSettings",
    "Fallback",
    "Limits",
    "Run",
    "Setting",
    "Settings",
    "SourceSettings",
    "Tracked",
    "find",
    "load",
    "variable",
]
