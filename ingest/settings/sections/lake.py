"""Whether what is stored is also kept as Parquet, and where: the section [lake]."""

from typing import Literal

from pydantic import Field

from ingest.settings.section import Section


class Lake(Section):
    """The lake: Parquet files of all that is stored, which runs keep up to date.

    `place` says where: "local" in the cache's folder, "parts" in the object store of the parts, if they are in one.
    """

    enabled: bool = Field(default=False, description="true or false")
    place: Literal["local", "parts"] = Field(default="local", description='"local" or "parts"')
