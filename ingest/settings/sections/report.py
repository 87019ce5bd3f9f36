"""Whether each run writes the report: the section [report]."""

from pydantic import Field

from ingest.settings.section import Section
from ingest.settings.values import FileOrNone


class Report(Section):
    """The report that each run replaces."""

    path: FileOrNone = Field(default="", description='the name of a file; or ""')
