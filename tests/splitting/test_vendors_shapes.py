"""Files of all shapes that the vendor's samples have, through the whole pipeline: what is read is what `csv` reads.

CRLF, no last newline, rows in any order, columns in any order, prices without decimals or padded to fourteen, volumes
with six, stocks stamped at 16:00 in New York and indices at midnight in Chicago, minutes counted in other units.
"""

import csv
import io
import random
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from pipeline_kit import Place, pack, window
from tuning_kit import tune

import ingest
from ingest.demo.servers import loopback
from ingest.maintenance.verify import verify
from ingest.market.calendars import Calendar
from ingest.market.catalogue import CATALOGUE

FIRST = date(2026, 2, 20)
NAMES = (
    "1E5",
    "AIG.WSw",
    "BACpL",
    "BCPC",
    "BCpC",
    "BRK.B",
    "CON",
    "INF",
    "MSFT",
    "NA",
    "NAN",
    "NE.WS.A",
    "NULL",
    "TRUE",
)
DATASETS = (
    "stocks-day",
    "stocks-minute",
    "options-day",
    "indices-day",
    "indices-minute",
    "crypto-day",
    "futures-cme-day",
)
PER_SECOND = (1, 10**3, 10**6, 10**7, 10**9, 10**9, 10**9)


class Shape:
    """How one file is written: drawn once and the same for all of its rows, as in the vendor's files."""

    def __init__(self, dataset, session, chance):
        self.dataset, self.session, self._chance = dataset, session, chance
        self.end = chance.choice(["\n", "\r\n"])
        self.last = chance.random() < 0.5
        self.order = chance.choice(["sorted", "sorted", "shuffled"])
        self.columns = [*dataset.required, *dataset.optional]
        if chance.random() < 0.5:
            chance.shuffle(self.columns)
        self.digits = chance.choice([0, 2, 4, 14])
        self.volume = chance.choice([0, 6] if dataset.unit == "contracts" else [0, 6, "some"])
        self.per_second = chance.choice(PER_SECOND)

    def price(self, number):
        """An index may be padded with zeros; a whole number may have no decimal point."""
        told = f"{number:.{min(self.digits, 4)}f}"
        return told + "0" * (self.digits - 4) if self.digits > 4 else told

    def shares(self):
        whole = self._chance.randint(0, 10**9)
        if self.volume == "some":
            return f"{whole}.{self._chance.choice([0, self._chance.randint(0, 999_999)]):06}"
        return str(whole) if not self.volume else f"{whole}.000000"

    def begin(self, number):
        """When a bar begins; for day bars whatever the file stamps."""
        dataset = self.dataset
        if dataset.kind.timed:
            return datetime.combine(self.session, time(14, 30), UTC) + timedelta(minutes=number)
        if dataset.short == "stocks-day":
            return datetime.combine(self.session, self._clock, ZoneInfo("America/New_York"))
        zone = "America/Chicago" if dataset.short == "indices-day" else dataset.zone
        return datetime.combine(self.session, time(), ZoneInfo(zone))

    @property
    def _clock(self):
        return time(16) if self.digits else time()

    def row(self, ticker, number):
        low = self._chance.randint(1, 400)
        prices = dict(zip(("low", "open", "close", "high"), (low, low + 1.25, low + 2.5, low + 3.75), strict=True))
        told = {name: self.price(value) for name, value in prices.items()}
        told |= {"ticker": ticker, "transactions": str(number + 1), "session_end_date": str(self.session)}
        told |= {"window_start": str(int(self.begin(number).timestamp()) * self.per_second)}
        return [told.get(name, self.shares() if name == "volume" else "1") for name in self.columns]

    def text(self, tickers):
        count = 4 if self.dataset.kind.timed else 1
        rows = [self.row(ticker, number) for ticker in tickers for number in range(count)]
        if self._chance.random() < 0.3:
            rows.append(rows[0])
        if self.order == "sorted":
            rows.sort(key=lambda row: row[self.columns.index("ticker")])
        else:
            self._chance.shuffle(rows)
        written = self.end.join(map(",".join, [self.columns, *rows]))
        return (written + self.end * self.last).encode()


def as_csv_reads(shape, text):
    """Numbers by ticker and time (the date for day bars); of several rows the first one."""
    found = {}
    for row in csv.DictReader(io.StringIO(text.decode(), newline="")):
        at = shape.session
        if shape.dataset.kind.timed:
            at = datetime.fromtimestamp(int(row["window_start"]) // shape.per_second, UTC)
        found.setdefault((row["ticker"], at), [float(row[name]) for name in shape.dataset.numbers])
    return found


def as_read(dataset, rows):
    place = "time" if dataset.kind.timed else "date"
    told = rows.select("ticker", place, *dataset.numbers).iter_rows()
    return {(ticker, at.astimezone(UTC) if dataset.kind.timed else at): numbers for ticker, at, *numbers in told}


def in_csvs(place, dataset, tracked):
    """The same from the tracked CSVs, where each number has a decimal point, except for contracts."""
    found = {}
    for path in sorted(place.tracked.rglob("*.csv")):
        name = path.parent.name if dataset.kind.timed else path.name
        ticker = dataset.ticker_of(name.removesuffix(dataset.csv_suffix))
        with path.open(newline="") as file:
            for at, *numbers in list(csv.reader(file))[1:]:
                whole = dataset.counts_contracts
                assert all("." in one for one in numbers[: len(numbers) - whole])
                moment = datetime.fromisoformat(at).astimezone(UTC) if dataset.kind.timed else date.fromisoformat(at)
                found[ticker, moment] = [float(one) for one in numbers]
    assert {ticker for ticker, _ in found} <= tracked
    return found


def check(place, config, seed):
    """One seed: three sessions, each with its own shape, some tickers tracked."""
    chance = random.Random(seed)
    dataset = place.dataset
    contract = "260320C00650000" if dataset.sigil == "O:" else ""
    tickers = sorted(f"{dataset.sigil}{name}{contract}" for name in NAMES)
    days = Calendar.of(dataset.calendar).between(FIRST, FIRST + timedelta(days=4))[:3]
    shapes = [Shape(dataset, day, chance) for day in days]
    texts = [shape.text(chance.sample(tickers, chance.randint(3, len(tickers)))) for shape in shapes]
    tracked = set(chance.sample(tickers, 5))
    with loopback.serve({dataset.key(day): pack(text) for day, text in zip(days, texts, strict=True)}) as server:
        place.endpoint_url = server.endpoint_url
        ran = place.run(*window(days), tracked=tracked)
    assert ran.finished.exit_code == 0
    assert [place.reassembled(day) for day in days] == texts
    expected = {}
    for shape, text in zip(shapes, texts, strict=True):
        one = as_csv_reads(shape, text)
        rows = ingest.day(shape.session, dataset=dataset.short, config=config)
        assert as_read(dataset, rows) == one
        expected |= one
    rows = ingest.history(sorted({ticker for ticker, _ in expected}), dataset=dataset.short, config=config, fetch=False)
    assert as_read(dataset, rows) == expected
    scanned = ingest.scan(dataset=dataset.short, config=config).collect()
    assert as_read(dataset, scanned) == expected
    assert in_csvs(place, dataset, tracked) == {key: row for key, row in expected.items() if key[0] in tracked}
    assert verify(place.settings(), True, dataset).problems == ()


@pytest.fixture
def here(loopback_keys, tmp_path, monkeypatch):
    def check_seed(seed):
        name = DATASETS[seed % len(DATASETS)]
        if seed % 2:
            tune(monkeypatch, at_once=0, chunk=1000)
        config = tmp_path / f"{seed}.toml"
        config.write_text(f'[cache]\nroot = "{tmp_path / str(seed)}"\n')
        try:
            check(Place(tmp_path / str(seed), "", dataset=CATALOGUE[name]), config, seed)
        except AssertionError as error:
            error.add_note(f"seed {seed}: {name}")
            raise

    return check_seed


@pytest.mark.parametrize("seed", range(len(DATASETS)))
def test_whatever_its_shape_a_file_is_read_as_csv_reads_it(here, seed):
    here(seed)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_hundreds_of_shapes_are_read_as_csv_reads_them(here):
    for seed in range(1000, 1400):
        here(seed)
