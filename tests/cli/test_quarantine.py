"""`ingest quarantine` and `ingest run --accept`: republished files that remove rows, and unreadable ones."""

import gzip
import json
import shutil
from collections import Counter
from datetime import date

import pytest
from kills import Killed, dying
from pipeline_kit import Place, Wire, assert_same, flat, key
from runs_kit import DAYS, SPAN

from ingest import events, finding
from ingest.cache import quarantine
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.maintenance.verify import verify

DAY, OTHER, NEVER = DAYS[2], DAYS[4], date(2025, 6, 2)
ROWS = [*((f"T{n:02}", f"{n + 1}") for n in range(38)), ("AAPL", "100.5"), ("TRUE", "7")]
HELD = flat(ROWS)
FEWER = flat(ROWS[5:])
"""The file without five of its forty rows."""
SPANNING = ("--start", str(SPAN[0]), "--end", str(SPAN[1]))


@pytest.fixture
def server(loopback_keys):
    with loopback.serve({key(day): pack(HELD) for day in DAYS}) as running:
        yield running


@pytest.fixture
def place(server, tmp_path):
    filled = Place(tmp_path / "cache", server.endpoint_url)
    filled.run(*SPAN)
    return filled


@pytest.fixture
def held_back(place, server):
    """The place after a run has refused a republished file that removes five of forty rows."""
    server.put(key(DAY), pack(FEWER))
    assert place.run(*SPAN).finished.exit_code == 3
    return place


@pytest.fixture
def offline(place):
    return Place(place.root, "http://127.0.0.1:9", source={"attempts": 1, "down_after_s": 1})


def copied(place, folder):
    shutil.copytree(place.root, folder)
    return Place(folder, place.endpoint_url)


def listed(place):
    return [json.loads(line) for line in place.here("quarantine", "list", "--json").out.splitlines()]


def kept(place, day=DAY):
    return place.root / "quarantine" / f"{day}.csv.gz"


# A file that lost rows


def test_a_file_that_lost_more_than_a_tenth_of_its_rows_is_held_back(place, server):
    before = place.tiers()
    server.put(key(DAY), pack(FEWER))
    told = place.here("run", *SPANNING)
    assert told.code == 3
    said = told.out + told.err
    assert "5 of the 40 stored rows are missing from the new file" in said
    for command in ("show", "accept"):
        assert f"`ingest quarantine {command} {DAY}`" in said
    assert (place.tiers(), place.query("SELECT * FROM corrections")) == (before, [])
    assert kept(place).read_bytes() == pack(FEWER)
    again = place.run(*SPAN)
    assert (again.gets, again.finished.exit_code, again.finished.quarantined) == ([], 3, 1)
    assert place.tiers() == before


def test_it_is_downloaded_only_once(place, server):
    server.put(key(DAY), pack(FEWER))
    ran = place.run(*SPAN)
    assert ran.gets == [DAY]  # its bytes are surely those that were published
    (event,) = ran.of(events.Quarantined)
    assert (event.session, event.acceptable) == (DAY, True)


def test_exactly_a_tenth_is_applied(place, server):
    server.put(key(DAY), pack(flat(ROWS[4:])))
    ran = place.run(*SPAN)
    assert (ran.finished.exit_code, ran.finished.corrections, listed(place)) == (0, 1, [])
    assert place.reassembled(DAY) == flat(ROWS[4:])


ROW_BY_ROW = {
    "others came": ([*ROWS[5:], *((f"NEW{n}", "1") for n in range(20))], True),
    "repeats of others came": ([*ROWS[5:], *ROWS[20:30]], True),
    "all have other values": ([(ticker, "9") for ticker, _ in ROWS], False),
    "all are in another order": (ROWS[::-1], False),
}


@pytest.mark.parametrize(("rows", "refused"), ROW_BY_ROW.values(), ids=ROW_BY_ROW)
def test_a_tenth_is_counted_ticker_by_ticker(place, server, rows, refused):
    server.put(key(DAY), pack(flat(rows)))
    ran = place.run(*SPAN)
    assert (ran.finished.exit_code, ran.finished.quarantined) == ((3, 1) if refused else (0, 0))


def test_a_row_of_a_repeated_ticker_is_a_row(place, server):
    server.put(key(DAY), pack(flat([*ROWS, *ROWS[:10]])))
    place.run(*SPAN)
    server.put(key(DAY), pack(flat([*ROWS, *ROWS[:4]])))  # 44 of 50
    assert place.run(*SPAN).finished.exit_code == 3


def test_what_a_run_dropped_does_not_count(server, tmp_path):
    place = Place(tmp_path / "small", server.endpoint_url)
    place.run(*SPAN, save_others=False)
    server.put(key(DAY), pack(FEWER))
    assert place.run(*SPAN, save_others=False).finished.exit_code == 0
    server.put(key(DAY), pack(flat([one for one in ROWS if one[0] != "TRUE"])))
    assert place.run(*SPAN, save_others=False).finished.exit_code == 3  # one of the two tracked rows


def test_a_run_that_accepts_applies_it(place, server):
    server.put(key(DAY), pack(FEWER))
    told = place.here("run", "--accept", *SPANNING)
    assert (told.code, listed(place)) == (0, [])
    assert place.reassembled(DAY) == FEWER
    ((day, removed, added),) = place.corrections()
    assert (day, len(removed)) == (DAY, 40 if len(added) == 35 else 5)


def test_a_run_that_accepts_takes_what_was_held_back_before(held_back):
    assert held_back.run(*SPAN).gets == []
    ran = held_back.run(*SPAN, accept=True)
    assert (ran.gets, ran.reasons["fetch: held back before"], ran.finished.exit_code) == ([DAY], 1, 0)
    assert (listed(held_back), kept(held_back).exists()) == ([], False)
    assert held_back.reassembled(DAY) == FEWER


def test_a_run_that_accepts_does_not_ask_again_for_what_cannot_be_read(place, server):
    server.put(key(DAY), b"nonsense")
    place.run(*SPAN)
    assert place.run(*SPAN, accept=True).gets == []


# list


def test_the_list_of_an_empty_quarantine_is_a_sentence(place, tmp_path):
    for one in (place, Place(tmp_path / "new", place.endpoint_url)):
        told = one.here("quarantine", "list")
        assert (told.code, told.out.startswith("Nothing is in quarantine")) == (0, True)
        assert one.here("quarantine", "list", "--json").out == ""
        retried = one.here("quarantine", "retry")
        assert (retried.code, retried.out) == (0, told.out)
    assert not (tmp_path / "new").exists()


def test_the_list_says_what_is_there_and_what_can_be_done(held_back, server):
    server.put(key(OTHER), b"nonsense")
    held_back.run(*SPAN)
    first, second = listed(held_back)
    assert (first["session"], first["acceptable"], first["held"]) == (str(DAY), True, True)
    assert (first["size"], first["reason"]) == (
        len(pack(FEWER)),
        "5 of the 40 stored rows are missing from the new file",
    )
    assert (second["session"], second["acceptable"], second["held"]) == (str(OTHER), False, True)
    assert first["at"].startswith("20")
    told = held_back.here("quarantine", "list")
    words = " ".join(told.out.split())
    assert (told.code, words.count(str(DAY)), words.count(str(OTHER))) == (0, 1, 1)
    for word in ("ingest quarantine show", "ingest quarantine retry", "ingest quarantine accept", "not a whole gzip"):
        assert word in words


def test_a_first_version_that_cannot_be_read_is_listed_without_an_older_one(server, tmp_path):
    server.put(key(DAY), b"nonsense")
    place = Place(tmp_path / "new", server.endpoint_url)
    place.run(*SPAN)
    ((one),) = listed(place)
    assert (one["session"], one["held"], one["acceptable"]) == (str(DAY), False, False)
    assert "ingest quarantine accept" not in place.here("quarantine", "list").out


# show


def test_show_names_the_rows_that_it_would_remove(held_back):
    told = held_back.here("quarantine", "show", DAY)
    assert told.code == 0
    assert "5 of the 40 rows stored, of 5 tickers: T00, T01, T02, T03, T04." in told.out
    assert str(kept(held_back)) in told.out
    for line in FEWER.decode().splitlines()[:5]:
        assert f"  {line}\n" in told.out
    assert FEWER.decode().splitlines()[5] not in told.out
    assert f"ingest quarantine accept {DAY}" in told.out
    shown = json.loads(held_back.here("quarantine", "show", DAY, "--json").out)
    assert shown["loss"] == {"rows": 5, "held": 40, "tickers": [f"T{n:02}" for n in range(5)]}
    assert (shown["session"], shown["path"]) == (str(DAY), str(kept(held_back)))


def test_show_names_twenty_tickers_and_counts_the_others(place, server):
    server.put(key(DAY), pack(flat(ROWS[25:])))
    place.run(*SPAN)
    told = place.here("quarantine", "show", DAY)
    assert "of 25 tickers: T00, " in told.out
    assert "T19 and 5 more." in told.out
    assert "T20" not in told.out.partition("takes away")[2]


def test_show_where_the_parts_held_are_damaged(held_back):
    held_back.part(DAY).write_bytes(b"x")
    told = held_back.here("quarantine", "show", DAY)
    assert (told.code, "5 of the 40 rows stored, tickers unknown" in told.out) == (0, True)


MIB = 1 << 20
LONG = "ticker," + "x" * 1000


@pytest.mark.parametrize(
    ("data", "opening"),
    [
        (b"<html>\x1b[31m\r\nno day</html>", ["<html>\\x1b[31m", "no day</html>"]),
        (b"", []),
        (gzip.compress(b"a\nb\n" * 50), ["a", "b", "a", "b", "a"]),
        (gzip.compress(f"{LONG}\nb\n".encode()), [LONG[:200], "b"]),
        (gzip.compress(b"") + gzip.compress(b"caf\xe9\n") + b"garbage", ["caf\\xe9"]),
        (gzip.compress(b"a\n") + gzip.compress(b"b\n"), ["a", "b"]),
        (gzip.compress(b"\0" * 10_000_000), ["\\x00" * 50]),
        (gzip.compress(b"")[:3], []),
    ],
    ids=["no gzip", "empty", "many lines", "a long line", "garbage behind", "two members", "a bomb", "a header alone"],
)
def test_show_prints_how_it_begins_as_far_as_it_unpacks(place, server, data, opening):
    server.put(key(DAY), data)
    place.run(*SPAN, max_unpacked=MIB)
    shown = json.loads(place.here("quarantine", "show", DAY, "--json").out)
    assert (shown["opening"], shown["loss"]) == (opening, None)
    told = place.here("quarantine", "show", DAY)
    assert (told.code, all(f"  {line}\n" in told.out for line in opening)) == (0, True)
    assert "quarantine accept" not in told.out


def test_a_damaged_file_begins_as_far_as_the_damage(place, server):
    packed = bytearray(pack(flat([(f"T{n:05}", str(n * 7919 % 10007)) for n in range(5000)])))
    packed[2000] ^= 0xFF  # inside the first member, some 6 kB into its text
    server.put(key(DAY), bytes(packed))
    place.run(*SPAN)
    shown = json.loads(place.here("quarantine", "show", DAY, "--json").out)
    assert [line.split(",")[0] for line in shown["opening"]] == ["ticker", "T00000", "T00001", "T00002", "T00003"]


# retry


def test_retry_fetches_all_that_is_in_quarantine_and_nothing_else(held_back, server):
    server.put(key(OTHER), b"nonsense")
    server.put(key(DAYS[6]), pack(HELD.replace(b"T01", b"T99")))  # not downloaded yet, and not requested
    held_back.run(DAYS[0], DAYS[5])
    server.put(key(DAY), pack(HELD))
    server.put(key(OTHER), pack(HELD))
    wire = Wire()
    with wire.watching():
        told = held_back.here("quarantine", "retry")
    assert (told.code, sorted(wire.gets)) == (0, [DAY, OTHER])
    assert (listed(held_back), kept(held_back).exists(), kept(held_back, OTHER).exists()) == ([], False, False)
    assert held_back.run(*SPAN).gets == [DAYS[6]]


def test_retry_of_one_leaves_the_others(held_back, server):
    server.put(key(OTHER), b"nonsense")
    held_back.run(*SPAN)
    server.put(key(OTHER), pack(HELD))
    told = held_back.here("quarantine", "retry", OTHER)
    assert (told.code, [one["session"] for one in listed(held_back)]) == (0, [str(DAY)])


def test_retry_of_what_is_refused_again(held_back):
    wire = Wire()
    with wire.watching():
        told = held_back.here("quarantine", "retry", DAY)
    assert (told.code, wire.gets, len(listed(held_back))) == (3, [DAY], 1)
    assert kept(held_back).read_bytes() == pack(FEWER)


def test_retry_without_the_source(held_back, offline):
    assert offline.here("quarantine", "retry").code == 4
    assert len(listed(held_back)) == 1


def test_a_kept_file_that_is_gone_is_fetched_again_by_retry(held_back):
    kept(held_back).unlink()
    assert held_back.here("quarantine", "retry", DAY).code == 3
    assert kept(held_back).read_bytes() == pack(FEWER)


# accept


def test_accept_applies_the_kept_bytes_without_the_network(held_back, offline):
    wire = Wire()
    with wire.watching():
        told = offline.here("quarantine", "accept", DAY)
    assert (told.code, told.err, wire.sent) == (0, "", [])
    assert f"{DAY}: applied; 40 rows removed and 35 added" in told.out  # volumes count the lines, so all rows differ
    assert held_back.reassembled(DAY) == FEWER
    assert (listed(held_back), kept(held_back).exists()) == ([], False)
    again = held_back.run(*SPAN)
    assert (again.gets, again.finished.exit_code) == ([], 0)
    assert verify(held_back.settings(), deep=True).problems == ()


@pytest.mark.parametrize("command", [("quarantine", "accept", DAY), ("run", "--accept", *SPANNING)])
def test_what_is_kept_beside_the_bytes_goes_with_them(held_back, command, monkeypatch):
    beside, drop = kept(held_back).with_suffix(".why"), quarantine.drop
    beside.write_text("it would remove rows")

    def drop_both(layout, session):
        drop(layout, session)
        beside.unlink()

    monkeypatch.setattr(quarantine, "drop", drop_both)
    assert held_back.here(*command).code == 0
    assert [*kept(held_back).parent.iterdir()] == []


def test_accept_leaves_what_a_run_that_accepts_leaves(held_back, tmp_path):
    by_run = copied(held_back, tmp_path / "by run")
    by_run.run(*SPAN, accept=True)
    assert held_back.here("quarantine", "accept", DAY).code == 0
    held_back.run(*SPAN)
    assert_same(held_back, by_run)


def test_accept_brings_the_csvs_up_to_date(place, server):
    server.put(key(DAY), pack(flat(ROWS[:-6])))
    place.run(*SPAN)
    assert str(DAY) in place.closes("AAPL")
    place.here("quarantine", "accept", DAY)
    assert str(DAY) not in place.closes("AAPL")
    assert len(place.closes("AAPL")) == len(DAYS) - 1


def test_accept_finds_a_number_of_rows_far_from_the_neighbours(place, server):
    server.put(key(DAY), pack(flat(ROWS[20:])))
    place.run(*SPAN)
    place.here("quarantine", "accept", DAY)
    assert place.query("SELECT session, count FROM findings WHERE kind = ?", finding.FAR_COUNT) == [(str(DAY), 20)]


def test_accept_follows_a_list_that_grew_and_keeps_no_less_than_is_held(held_back, offline):
    told = offline.here(
        "quarantine", "accept", DAY, INGEST_TRACKED__TICKERS='["T30"]', INGEST_ARCHIVE__SAVE_OTHERS="false"
    )
    assert told.code == 0
    assert held_back.reassembled(DAY) == FEWER
    tracked = [line.split(b",")[0] for line in held_back.part_text(DAY).splitlines()[1:]]
    assert tracked == [b"T30", b"AAPL", b"TRUE"]
    assert len(held_back.closes("T30")) == len(DAYS)


def test_accept_of_several_at_once(held_back, server, offline):
    server.put(key(OTHER), pack(flat(ROWS[:30])))
    held_back.run(*SPAN)
    told = offline.here("quarantine", "accept", DAY, OTHER)
    assert (told.code, listed(held_back)) == (0, [])
    assert [held_back.reassembled(day) for day in (DAY, OTHER)] == [FEWER, flat(ROWS[:30])]


def test_accept_of_what_cannot_be_read_is_refused_and_applies_nothing(held_back, server):
    server.put(key(OTHER), b"nonsense")
    held_back.run(*SPAN)
    before, runs = held_back.tiers(), held_back.query("SELECT count(*) FROM runs")
    told = held_back.here("quarantine", "accept", DAY, OTHER)
    assert told.code == 2
    assert "not a whole gzip file" in told.err
    assert f"`ingest quarantine retry {OTHER}`" in told.err
    assert (held_back.tiers(), len(listed(held_back))) == (before, 2)
    assert held_back.query("SELECT count(*) FROM runs") == runs


def test_accept_of_what_cannot_be_read_any_more(place, server):
    """A file of more than a mebibyte is refused for its rows; then the setting that limits its size is lowered."""
    header, *lines = FEWER.decode().splitlines()
    wide = "\n".join([f"{header},note", *(f"{line},{'x' * 40_000}" for line in lines), ""])
    server.put(key(DAY), pack(wide.encode()))
    place.run(*SPAN)
    assert listed(place)[0]["acceptable"]
    for command in ("accept", "show"):
        told = place.here("quarantine", command, DAY, INGEST_LIMITS__MAX_UNPACKED_BYTES=str(MIB))
        assert (told.code, "unpacks to more than 1,048,576 bytes" in told.err) == (2, True)
    assert len(listed(place)) == 1
    assert place.here("quarantine", "accept", DAY).code == 0


@pytest.mark.parametrize(("command", "session"), [("show", OTHER), ("accept", NEVER), ("retry", NEVER)])
def test_a_session_that_is_not_in_quarantine_is_refused(held_back, command, session):
    before = held_back.tiers()
    told = held_back.here("quarantine", command, *([] if command == "show" else [DAY]), session)
    assert (told.code, told.err) == (
        2,
        f"error: {session} is not in quarantine. Run `ingest quarantine list` to see what is.\n",
    )
    assert held_back.tiers() == before


@pytest.mark.parametrize("command", ["accept", "retry"])
def test_what_is_done_already_is_no_error_and_what_is_left_is_done(held_back, server, command):
    """Like after an acceptance that was killed between two sessions."""
    if command == "retry":
        server.put(key(DAY), pack(flat(ROWS)))
    told = held_back.here("quarantine", command, OTHER, DAY)
    assert (told.code, listed(held_back)) == (0, [])
    assert f"{OTHER}: already done: it is stored and no longer in quarantine." in told.out
    again = held_back.here("quarantine", command, OTHER, DAY)
    assert (again.code, again.out.count("already done")) == (0, 2)
    if command == "accept":
        told = held_back.here("quarantine", command, DAY, "--json")
        assert "already done" in json.loads(told.out)["message"]


def test_a_session_that_is_no_date_is_refused(place):
    for command in ("show", "accept", "retry"):
        done = place.cli("quarantine", command, "yesterday")
        assert (done.returncode, "yesterday" in done.stderr, "YYYY-MM-DD" in done.stderr) == (2, True, True)


@pytest.mark.parametrize("command", ["show", "accept"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [(lambda path: path.unlink(), "is gone"), (lambda path: path.write_bytes(b"12"), "has 2 bytes in place of")],
    ids=["gone", "of another size"],
)
def test_a_kept_file_that_is_not_what_was_refused(held_back, command, spoil, words):
    spoil(kept(held_back))
    before = held_back.tiers()
    told = held_back.here("quarantine", command, DAY)
    assert told.code == 5
    assert words in told.err
    assert f"`ingest quarantine retry {DAY}`" in told.err
    assert held_back.tiers() == before


def test_accept_applies_nothing_where_one_of_the_kept_files_is_gone(held_back, server):
    server.put(key(OTHER), pack(FEWER))
    held_back.run(*SPAN)
    kept(held_back, OTHER).unlink()
    assert held_back.here("quarantine", "accept", DAY, OTHER).code == 5
    assert len(listed(held_back)) == 2


def test_an_acceptance_that_is_killed_anywhere_is_finished_by_the_next(held_back, tmp_path):
    whole = copied(held_back, tmp_path / "whole")
    whole.here("quarantine", "accept", DAY)
    whole.run(*SPAN)
    fatal, ends = 0, Counter()
    while True:
        fatal += 1
        place = copied(held_back, tmp_path / f"killed {fatal}")
        with dying(fatal) as steps:
            try:
                place.here("quarantine", "accept", DAY)
            except Killed:
                ends[steps[-1]] += 1
            else:
                break
        assert place.here("quarantine", "accept", DAY).code == 0
        assert place.run(*SPAN).gets == []
        assert_same(place, whole)
        assert verify(place.settings(), deep=True).broken == ()
        assert not kept(place).exists()
    assert min(ends[name] for name in ("stage", "publish", "sync_folder", "remove", "transaction")) > 0
    assert len(whole.corrections()) == 1
