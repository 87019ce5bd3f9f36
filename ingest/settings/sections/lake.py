"""Whether what is stored is also kept as Parquet: the section [lake]."""

from pydantic import Field

from ingest.settings.section import Section


class Lake(Section):
    """The lake: Parquet files of all that is stored, which runs keep up to date."""

    enabled: bool = Field(default=False, description="true or false")
