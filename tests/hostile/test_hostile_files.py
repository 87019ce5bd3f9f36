"""Day files that are damaged, oversized or odd: each is kept whole or quarantined with its reason; none stops a run."""

import csv
import gzip
import io
import re
import subprocess
import sys
from datetime import date

import polars as pl
import pytest
from fence import fenced
from hostile_kit import LONG_EXAMPLES, row
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pipeline_kit import HEADER, Place, key, sampled, trading_days, window, write_keys
from splitting_kit import parted

from ingest import events
from ingest.cache.parts import members as blockgzip
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import UnreadableFile
from ingest.splitting.parsing import read_rows

MIB = 1 << 20
LIMIT = 4 * MIB
"""What a file may unpack to in these runs."""

GOOD = "\n".join([HEADER, row("AAPL"), row("MSFT"), row("ZVZZT"), ""]).encode()
TRACKED = frozenset({"AAPL", "A\0B", "A,B", "É"})


def day(*rows, header=HEADER, end="\n"):
    return end.join([header, *rows, ""]).encode()


def wide(columns):
    extra = [f"c{n}" for n in range(columns - 8)]
    return day(row("AAPL") + ",1" * len(extra), header=",".join([HEADER, *extra]))


KEPT = {
    "many blank lines": gzip.compress(GOOD + b"\n" * 1_500_000),
    "as usual": pack(GOOD),
    "zeros after it": pack(GOOD) + bytes(700),
    "two members, cut in a line": pack(GOOD[:90]) + pack(GOOD[90:]),
    "an empty member before it": pack(b"") + pack(GOOD),
    "a thousand empty members": pack(b"") * 1000 + pack(GOOD),
    "a name and a comment in the gzip header": b"\x1f\x8b\x08\x18" + bytes(6) + b"../x\0y\0" + pack(GOOD)[10:],
    "not packed at all, in gzip": gzip.compress(GOOD, 0),
    "CRLF": pack(GOOD.replace(b"\n", b"\r\n")),
    "BOM": pack(b"\xef\xbb\xbf" + GOOD),
    "no last newline": pack(GOOD[:-1]),
    "blank lines": pack(GOOD.replace(b"\n", b"\n\n")),
    "header alone": pack(day()),
    "quotes": pack(day('"AAPL","1000","1","1","1","1","1","7"', row("B"))),
    "quoted commas": pack(day(row("A,B"), row("C"))),
    "doubled quotes": pack(day(row('A"B'), row("C"))),
    "NUL in a ticker": pack(day(row("A\0B"), row("AAPL"))),
    "NULs in a column not read": pack(day(row("AAPL") + "\0\0")),
    "ten megabytes in a line": pack(day(row("AAPL"), row("B") + "7" * 3 * MIB)),
    "a thousand columns": pack(wide(1000)),
    "too many fields": pack(day(row("AAPL") + ",9,9", row("B"))),
    "infinite": pack(day(row("AAPL", "1e999"), row("B", "inf"), row("C", "-inf"), row("D", "nan"))),
    "thousands of digits": pack(day(row("AAPL", "1" * 3000), row("B", "0." + "3" * 3000))),
    "minus zero": pack(day(row("AAPL", "-0"), row("B", "-0.0"))),
    "empty numbers": pack(day(row("AAPL", ""), row("B"))),
}

QUARANTINED = {
    "0 bytes": (b"", "gzip|missing"),
    "one byte": (b"\x1f", "gzip"),
    "text after it": (pack(GOOD) + b"<html>", "gzip"),
    "half a member after it": (pack(GOOD) + pack(GOOD)[:20], "gzip"),
    "cut short": (pack(GOOD)[:-9], "gzip"),
    "gzip in gzip": (pack(pack(GOOD)), "header|rows"),
    "a bomb": (gzip.compress(bytes(64 * MIB), 9), r"4,194,304 bytes, .*\[limits\] max_unpacked_bytes"),
    "a bomb of members": (gzip.compress(bytes(3 * MIB), 9) * 50, r"\[limits\] max_unpacked_bytes"),
    "a bomb of good rows": (gzip.compress(day(*[row("AAPL")] * 200_000)), r"\[limits\] max_unpacked_bytes"),
    "CR alone": (pack(GOOD.replace(b"\n", b"\r")), "header"),
    "UTF-16": (pack(GOOD.decode().encode("utf-16")), "header"),
    "100,000 columns": (pack(wide(100_000)), "names 100,000 columns"),
    "1,001 columns": (pack(wide(1001)), "names 1,001 columns"),
    "a header of three megabytes": (pack(HEADER.encode() + b"," + b"x" * 3 * MIB + b"\n"), "first line is longer"),
    "no line end at all": (pack(b"x" * 3 * MIB), "first line is longer"),
    "a header twice": (pack(day(row("A"), header=f"{HEADER},close")), "twice"),
    "a quote within a name": (pack(day(row("A"), row("B"), header=f'{HEADER},w"x')), "quote within a name"),
    "text after a quoted name": (pack(day(row("A"), row("B"), header=f'{HEADER},"w"x')), "header is not text"),
    "a quote that is not closed": (pack(day(row("AAPL"), '"B,1,1,1,1,1,1,1', row("C"))), "not closed"),
    "a quote alone at the end": (pack(GOOD + b'B,"'), "not closed"),
    "a quoted number cut short": (pack(GOOD + b'B,"12'), "not closed"),
    "no UTF-8 in a ticker": (pack(GOOD.replace(b"MSFT", b"M\xffFT")), "utf-?8"),
    "no UTF-8 in a column not read": (pack(GOOD.replace(b",1,7", b",\xff,7")), "utf-?8"),
    **{
        f"{number[:12]} as a price": (pack(day(row("AAPL", number), row("B"))), "parsed")
        for number in ("0x10", "1_000", '"1,5"', "1e", "--1", "\u0661", "N/A", "1" * 9 + "x" * 100_000)
    },
}
CASES = {**{name: (packed, None) for name, packed in KEPT.items()}, **QUARANTINED}
DAYS = dict(zip(CASES, trading_days(date(2025, 1, 2), len(CASES)), strict=True))


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One run over all of them, within the fence; the place and what came of the run."""
    tmp = tmp_path_factory.mktemp("files")
    write_keys(tmp / "credentials")
    objects = {key(DAYS[name]): packed for name, (packed, _) in CASES.items()}
    with pytest.MonkeyPatch.context() as patch, loopback.serve(objects) as server:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp / "credentials"))
        patch.setenv("AWS_CONFIG_FILE", str(tmp / "none"))
        place = Place(tmp / "cache", server.endpoint_url)
        place.root.mkdir()
        with fenced(place.root, around=tmp) as written:
            done = place.run(*window(DAYS.values()), tracked=TRACKED, max_unpacked=LIMIT)
        assert any(".csv.gz.ingest-" in path for path in written)
        yield place, done


@pytest.mark.parametrize("name", KEPT)
def test_what_can_be_read_is_kept_to_the_byte(ran, name):
    place, _ = ran
    assert place.state(DAYS[name]) == ("committed", "listed"), place.query(
        "SELECT reason FROM sessions WHERE session = ?", str(DAYS[name])
    )
    assert place.reassembled(DAYS[name]) == gzip.decompress(KEPT[name])


@pytest.mark.parametrize("name", QUARANTINED)
def test_what_cannot_is_quarantined_as_it_came_with_its_reason(ran, name):
    place, done = ran
    packed, reason = QUARANTINED[name]
    (event,) = [one for one in done.of(events.Quarantined) if one.session == DAYS[name]]
    assert re.search(reason, event.reason, re.IGNORECASE)
    assert len(event.reason) < 500
    assert (place.root / "quarantine" / f"{DAYS[name]}.csv.gz").read_bytes() == packed


def test_nothing_is_left_out_and_the_next_run_does_nothing(ran):
    place, done = ran
    counted = (done.finished.committed, done.finished.quarantined, done.finished.exit_code)
    assert counted == (len(KEPT), len(QUARANTINED), 3)
    again = place.run(*window(DAYS.values()), tracked=TRACKED, max_unpacked=LIMIT)
    assert (again.gets, again.finished.exit_code) == ([], 3)


def test_a_line_end_within_quotes_is_cut_by_rows_and_nothing_is_lost(loopback_keys, tmp_path):
    text = day(row("AAPL"), row("A\nB"), row("MSFT")[:-1] + '"x\r\ny"', row("ZVZZT"))
    with loopback.serve({key(date(2025, 3, 3)): pack(text)}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(date(2025, 3, 3), date(2025, 3, 3), tracked={"MSFT", "A\nB"})
    parts = [place.part_text(date(2025, 3, 3), tier) for tier in ("tracked", "archive")]
    rows = [list(csv.reader(io.StringIO(part.decode(), newline=""))) for part in (*parts, text)]
    assert sorted(rows[0][1:] + rows[1][1:]) == sorted(rows[2][1:])
    assert [one[0] for one in rows[0][1:]] == ["A\nB", "MSFT"]


class TestLimit:
    @pytest.mark.parametrize("members", [1, 3, 1000])
    def test_is_exact(self, members):
        text = bytes(3000)
        packed = pack(text) * members
        assert blockgzip.unpack(packed, 3000 * members) == text * members
        with pytest.raises(UnreadableFile, match=r"more than .* bytes, .*\[limits\] max_unpacked_bytes"):
            blockgzip.unpack(packed, 3000 * members - 1)

    def test_holds_for_a_few_bytes_too(self):
        assert blockgzip.unpack(pack(b""), 0) == b""
        with pytest.raises(UnreadableFile, match="max_unpacked_bytes"):
            blockgzip.unpack(pack(b"x"), 0)

    def test_what_is_unpacked_in_one_go_cannot_pass_it(self):
        # The size from which on it is unpacked bit by bit rests on deflate's highest ratio.
        assert len(gzip.compress(bytes(64 * MIB), 9)) * blockgzip._HIGHEST_RATIO > 64 * MIB

    @pytest.mark.parametrize("kind", sampled(["zeros", "members", "rows"]))
    def test_bounds_the_memory(self, kind):
        """A child that reads a bomb of 1000:1 takes the limit more than one that reads nothing, not the bomb's size."""
        done = subprocess.run([sys.executable, "-c", _READS, kind], capture_output=True, text=True, check=True)
        taken, said = done.stdout.split(" ", 1)
        assert "max_unpacked_bytes" in said
        assert int(taken) < 64 + 48, "MiB: the limit, and what of the parser and of buffers is used for the first time"


_READS = """
import gzip, resource, sys
from ingest.market.catalogue import STOCKS_DAY
from ingest.errors import UnreadableFile
from ingest.splitting.whole import parts
from ingest.cache.parts import members as blockgzip

MIB = 1 << 20
pieces = {"zeros": (bytes(MIB), 400), "rows": (b"A,1,1,1,1,1,1,1\\n" * (MIB >> 4), 400)}
if sys.argv[1] == "members":
    bomb = gzip.compress(bytes(MIB), 9) * 400
else:
    import zlib
    piece, times = pieces[sys.argv[1]]
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([*[packer.compress(piece) for _ in range(times)], packer.flush()])
assert len(bomb) < 2 * MIB
parts(b"ticker,volume,open,close,high,low\\nA,1,1,1,1,1\\n", frozenset("A"), True, STOCKS_DAY)
unit = 1 if sys.platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    parts(blockgzip.unpack(bomb, 64 * MIB), frozenset("A"), True, STOCKS_DAY)
except UnreadableFile as error:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit // MIB, error)
"""


# Any bytes


def check(data, tracked=TRACKED):
    """A body is kept to the byte or refused with a reason; nothing else may happen."""
    try:
        text = blockgzip.unpack(data, LIMIT)
        cut = parted(text, tracked)
    except UnreadableFile as error:
        assert str(error)  # noqa: PT017 - both outcomes are right
        return None
    assert cut.tracked.rows + cut.archive.rows == cut.source_rows
    numbers, size = set(cut.tracked_rows.tolist()), len(cut.header.line)
    if cut.cut == "lines":
        parts = [iter(re.findall(rb"[^\n]*\n|[^\n]+\Z", part.text[size:])) for part in (cut.archive, cut.tracked)]
        lines = [next(parts[number in numbers]) for number in range(cut.source_rows)]
        assert cut.header.line + b"".join(lines) == text
        assert [list(rest) for rest in parts] == [[], []]
    else:
        assert _fields(cut, numbers) == read_rows(text, _strings(cut.header), cut.header.columns).rows()
    return text


def _strings(header):
    return dict.fromkeys(header.columns, pl.String)


def _fields(cut, numbers):
    parts = [part.text for part in (cut.archive, cut.tracked)]
    rows = [iter(read_rows(part, _strings(cut.header), cut.header.columns).rows()) for part in parts]
    return [next(rows[number in numbers]) for number in range(cut.source_rows)]


@st.composite
def mutations(draw, original):
    """Bytes with some of them changed, taken out, doubled, or put in."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        at, size = draw(st.integers(0, max(len(data) - 1, 0))), draw(st.integers(0, 20))
        new = draw(st.binary(max_size=4) | st.sampled_from([b"", b'"', b",", b"\n", b"\r", b"\0", b"\xff", b'"\n"']))
        data[at : at + size] = new * draw(st.sampled_from([1, 1, 1, 300]))
    return bytes(data)


@st.composite
def dialects(draw):
    """A day's rows in any dialect of CSV: separators, quotes, line ends, encodings, ragged rows."""
    field = st.sampled_from(["AAPL", "MSFT", "É", "1", "2.5", "", " ", "1,5", 'a"b', "a\nb", "=1", "\ufeff", "\0", "-"])
    separator, end = draw(st.sampled_from(",,,;\t|")), draw(st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\r", "\n\n"]))
    quote, columns = draw(st.sampled_from(['"', '"', "'", ""])), draw(st.permutations(HEADER.split(",")))
    numbers = st.lists(st.sampled_from(["1", "2.5", "", "-0", "1e3"]), min_size=7, max_size=7)
    rows = draw(st.lists(st.tuples(field, numbers) | st.tuples(field, st.lists(field, max_size=9)), max_size=8))
    cells = [[draw(st.sampled_from(["", quote])), one] for first, rest in rows for one in (first, *rest)]
    dressed = iter([f"{mark}{one}{mark}" for mark, one in cells])
    lines = [separator.join([next(dressed) for _ in (first, *rest)]) for first, rest in rows]
    text = end.join([separator.join(columns), *lines]) + draw(st.sampled_from(["", end]))
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "latin-1", "utf-16"])), "replace")


MEMBERS = (GOOD, b"", row("B").encode())
KINDS = {
    "bytes": st.binary(max_size=200),
    "packed bytes": st.binary(max_size=200).map(pack),
    "rows": st.binary(max_size=60).map(lambda noise: pack(GOOD + noise)),
    "mutated days": mutations(GOOD).map(pack),
    "dialects": dialects().map(pack),
    "damaged gzip": mutations(b"".join(map(pack, MEMBERS))),
}


def any_body(kind, data):
    text = check(data.draw(KINDS[kind]))
    if kind == "damaged gzip" and text is not None:
        # Whole members may be gone or doubled, what is in them may not have changed.
        assert re.sub(re.escape(GOOD) + b"|" + re.escape(MEMBERS[2]), b"", text) == b""


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@hypothesis_settings(max_examples=50, deadline=None)
def test_any_body_is_kept_to_the_byte_or_refused(kind, data):
    any_body(kind, data)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@hypothesis_settings(max_examples=LONG_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_body_and_many_more(kind, data):
    any_body(kind, data)
