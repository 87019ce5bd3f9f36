"""Whether what is stored is also kept as Parquet, and where, and as tables of Iceberg: the section [lake]."""

from importlib.util import find_spec
from typing import Literal

from pydantic import Field

from ingest.errors import UsageError
from ingest.settings.section import Section, whole_number

MISSING = "tables of Iceberg need the library pyiceberg, which is not installed: pip install 'ingest[iceberg]'"


def require_iceberg() -> None:
    """Raise UsageError unless the library for tables is installed."""
    if any(find_spec(name) is None for name in ("pyiceberg", "pyarrow", "sqlalchemy")):
        raise UsageError(MISSING)


class Lake(Section):
    """The lake: Parquet files of all that is stored, which runs keep up to date, and tables of Iceberg of them.

    `place` says where: "local" in the cache's folder, "parts" in the object store of the parts, if they are in one.
    `catalog` is where the tables are known, and a snapshot of them stays for `keep_snapshots_days`.
    """

    enabled: bool = Field(default=False, description="true or false")
    place: Literal["local", "parts"] = Field(default="local", description='"local" or "parts"')
    iceberg: bool = Field(default=False, description="true or false")
    catalog: str = Field(
        default="ingest",
        pattern=r"^[a-z][a-z0-9-]{0,63}$",
        description="a name of small letters, digits and hyphens, that begins with a letter",
    )
    keep_snapshots_days: int = whole_number(30, 1, 36_500)

    def check(self) -> None:
        """Raise UsageError if tables are to be kept up to date, and the library for them is not installed."""
        if self.enabled and self.iceberg:
            require_iceberg()
