"""The catalogue of datasets: where a dataset's objects lie in the bucket and what its rows hold."""

import re
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Dataset:
    """One kind of daily file.

    `required` names the columns without which a file cannot be read, `optional` those that are known and may
    be lacking; any other column is kept in the parts and reported once. `zone` is the time zone of its dates.
    """

    name: str
    prefix: str
    calendar: str
    zone: str
    first_session: date
    required: tuple[str, ...]
    optional: tuple[str, ...]

    def key(self, session: date) -> str:
        """Key of the object that holds a session."""
        return f"{self.prefix}/{session:%Y/%m}/{session.isoformat()}.csv.gz"

    def year_prefix(self, year: int) -> str:
        """Prefix of all objects of a year: a year of sessions fits in one page of a listing."""
        return f"{self.prefix}/{year:04d}/"

    def session_of(self, key: str) -> date | None:
        """Session that a key stands for, or None where the key is not one of this dataset's.

        The date of a session comes from its key alone: stamps inside the files have been wrong.
        """
        found = re.search(r"/(\d{4}-\d\d-\d\d)\.csv\.gz\Z", key)
        try:
            session = date.fromisoformat(found[1]) if found else None
        except ValueError:
            return None
        return session if session and key == self.key(session) else None


STOCKS_DAY = Dataset(
    name="us_stocks_sip/day_aggs_v1",
    prefix="us_stocks_sip/day_aggs_v1",
    calendar="XNYS",
    zone="America/New_York",
    first_session=date(2003, 9, 10),
    required=("ticker", "volume", "open", "close", "high", "low"),
    optional=("window_start", "transactions"),
)
