"""The user's own config.toml, which works in any folder, and the folder where its data goes.

These are the platform's folders for settings and for data (`~/.config/ingest` and `~/.local/share/ingest` on Linux).
Nothing here writes to disk.
"""

from pathlib import Path

from ingest.files import opening
from ingest.settings.model import FILE_NAME, Layer
from ingest.settings.sections.cache import place

_APP = "ingest"


def personal_file() -> Path | None:
    """The user's own config.toml, whether it exists or not; None for a user without a home folder."""
    from platformdirs import user_config_path  # rarely needed, and slow to import

    try:
        return user_config_path(_APP, appauthor=False) / FILE_NAME
    except RuntimeError:
        return None


def data_folder() -> Path:
    """The platform's folder for this program's data."""
    from platformdirs import user_data_path

    return user_data_path(_APP, appauthor=False)


def state_folder() -> Path | None:
    """The platform's folder for what a program remembers of its use; None for a user without a home folder."""
    from platformdirs import user_state_path

    try:
        return user_state_path(_APP, appauthor=False)
    except RuntimeError:
        return None


def folder_of_root(layer: Layer, root: Path, file: Path | None) -> Path:
    """The folder at which a relative [cache] root starts: that of the settings, but for the user's own the data folder.

    A cache that an earlier version made beside the user's own settings stays in use.
    """
    named = file is not None and file.parent.name == _APP  # else not even the platform needs to be asked
    if layer.kind == "argument" or root.is_absolute() or not named or file != personal_file():
        return layer.folder
    home = data_folder()
    is_earlier = _has_cache(layer.folder, root) and not _has_cache(home, root)
    return layer.folder if is_earlier else home


def _has_cache(folder: Path, root: Path) -> bool:
    return opening.is_there(place(folder, root) / "manifest.sqlite")
