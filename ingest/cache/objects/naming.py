"""Names of parts in a bucket: each version of a part has its own, with 16 digits of its hash; and of the lake's files.

So a version is written once and never changed, to write it again writes the same bytes, and readers of the version
before are not disturbed. A file of the lake has one name for ever, in a bucket as in a folder.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Self

from ingest.market.datasets import TIERS, Tier, part_name, session_of

_NAME = re.compile(r"(\d{4}-\d\d-\d\d)\.([0-9a-f]{16})\.csv\.gz")
_DIGITS = 16

LAKE_FILE = "part-0.parquet"
_HIVE = re.compile(r"year=(\d{4})/month=(\d{1,2})/(?:session=(\d{4}-\d\d-\d\d)/)?[^/]+", re.ASCII)


def folder_of(tier: Tier, dataset: str) -> str:
    """The prefix, without a slash at its end, of the parts of a dataset's tier: `archive/us_stocks_sip/day_aggs_v1`."""
    return f"{tier}/{dataset}"


def object_name(tier: Tier, dataset: str, name: str) -> str:
    """The name of an object below the bucket's prefix, from its name in a dataset's tier."""
    return f"{folder_of(tier, dataset)}/{name}"


def lake_folder(dataset: str) -> str:
    """The prefix, without a slash at its end, of a dataset's lake, given by its short name: `lake/stocks-day`."""
    return f"lake/{dataset}"


def hive_name(partition: str) -> str:
    """The file of a partition, below the folder of its dataset's lake: `year=2025/month=11/part-0.parquet`."""
    year, month, *day = partition.split("-")
    folder = f"year={year}/month={int(month)}"  # `month=02` would be text to DuckDB
    return f"{folder}/session={partition}/{LAKE_FILE}" if day else f"{folder}/{LAKE_FILE}"


def partition_in(name: str) -> str | None:
    """Inverse of `hive_name`; None for any other name."""
    if not (found := _HIVE.fullmatch(name)):
        return None
    partition = found[3] or f"{found[1]}-{found[2]:0>2}"
    return partition if hive_name(partition) == name else None


def lake_partition_in(name: str, dataset: str) -> str | None:
    """The partition of the lake's file that an object is, by its name below the prefix; None if it is not one."""
    inside = name.removeprefix(f"{lake_folder(dataset)}/")
    return partition_in(inside) if inside != name else None


def session_in(name: str, dataset: str) -> date | None:
    """The session of the part that an object is, by its name below the prefix; None if it is not one of the dataset."""
    for tier in TIERS:
        inside = name.removeprefix(object_name(tier, dataset, ""))
        if inside != name and (found := ObjectName.parse(inside)):
            return found.session
    return None


@dataclass(frozen=True, slots=True)
class ObjectName:
    """`2025-11-11.0123456789abcdef.csv.gz`: the session of a part, and the first 16 digits of its sha256."""

    session: date
    digits: str

    @classmethod
    def of(cls, session: date, sha256: str) -> Self:
        """The name of the version with this hash."""
        return cls(session, sha256[:_DIGITS])

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Inverse of `str`; None for any other name."""
        found = _NAME.fullmatch(name)
        session = session_of(f"{found[1]}.csv.gz") if found else None
        return cls(session, found[2]) if found and session else None

    def __str__(self) -> str:
        return part_name(self.session).replace(".csv.gz", f".{self.digits}.csv.gz")
