import hashlib
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from ingest.demo.servers import child
from ingest.demo.servers import seaweed as weed
from ingest.demo.servers.weed import sweep_sockets
from ingest.errors import SourceError, SourceUnavailable

PREFIX = "us_stocks_sip/day_aggs_v1/2026"
AUGUST = [f"{PREFIX}/08/2026-08-{day:02d}.csv.gz" for day in (27, 28, 31)]
SEPTEMBER = [f"{PREFIX}/09/2026-09-{day:02d}.csv.gz" for day in (1, 2, 3)]
KEYS = AUGUST + SEPTEMBER

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's own")


def refusal(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def readable(client, bucket):
    def one(key):
        try:
            return client.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDenied"  # noqa: PT017 - both answers are fine
            return False

    return [key for key in KEYS if one(key)]


@pytest.fixture
def filled(seaweed, bucket):
    assert seaweed.fill(bucket, ((key, key.encode()) for key in KEYS)) == len(KEYS)
    return bucket


def test_reads_outside_a_prefix_are_denied_while_the_listing_shows_them(seaweed, filled):
    who = seaweed.reader(f"List:{filled}", f"Read:{filled}/{PREFIX}/09/*")
    client = seaweed.server.client(who)
    assert [item["Key"] for item in client.list_objects_v2(Bucket=filled)["Contents"]] == KEYS
    assert readable(client, filled) == SEPTEMBER
    assert refusal(client.get_object, Bucket=filled, Key=AUGUST[0]) == (403, "AccessDenied")
    assert refusal(client.head_object, Bucket=filled, Key=AUGUST[0])[0] == 403
    assert refusal(client.get_object, Bucket=filled, Key=f"{PREFIX}/08/none") == (403, "AccessDenied")
    assert refusal(client.get_object, Bucket=filled, Key=f"{PREFIX}/09/none") == (404, "NoSuchKey")
    assert refusal(client.put_object, Bucket=filled, Key=SEPTEMBER[0], Body=b"") == (403, "AccessDenied")


def test_the_newest_days_are_forbidden_and_permitted_later(seaweed, filled):
    actions = weed.reader_actions(filled, KEYS, SEPTEMBER[1:])
    assert actions == (f"List:{filled}", f"Read:{filled}/{PREFIX}/08/*", f"Read:{filled}/{SEPTEMBER[0]}*")
    who = seaweed.reader(*actions)
    assert readable(seaweed.server.client(who), filled) == KEYS[:-2]
    later = seaweed.permit(who, *weed.reader_actions(filled, KEYS, []))
    assert readable(seaweed.server.client(later), filled) == KEYS


def test_wrong_keys_are_told_apart(seaweed, filled):
    who = seaweed.reader()
    wrong = seaweed.server.client(type(who)(who.name, who.access_key, "wrong", who.actions))
    unknown = seaweed.server.client(type(who)("nobody", "NOBODY", "x", ()))
    assert refusal(wrong.list_objects_v2, Bucket=filled) == (403, "SignatureDoesNotMatch")
    assert refusal(unknown.list_objects_v2, Bucket=filled) == (403, "InvalidAccessKeyId")
    reader = seaweed.server.client(who)
    assert refusal(reader.list_objects_v2, Bucket="no-such-bucket") == (404, "NoSuchBucket")


def test_an_etag_is_the_md5_and_a_change_changes_it(seaweed, bucket):
    assert seaweed.put(bucket, KEYS[0], b"one") == hashlib.md5(b"one").hexdigest()
    assert seaweed.put(bucket, KEYS[0], b"two") == hashlib.md5(b"two").hexdigest()
    client = seaweed.server.client(seaweed.writer)
    (item,) = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert item["ETag"] == f'"{hashlib.md5(b"two").hexdigest()}"'
    assert item["Size"] == 3
    seaweed.delete(bucket, KEYS[0])
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


def test_listings_come_in_pages_and_bodies_in_ranges(seaweed, filled):
    client = seaweed.server.client(seaweed.writer)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=filled, PaginationConfig={"PageSize": 4})
    assert [[item["Key"] for item in page["Contents"]] for page in pages] == [KEYS[:4], KEYS[4:]]
    answer = client.get_object(Bucket=filled, Key=KEYS[0], Range="bytes=3-5")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert answer["Body"].read() == KEYS[0].encode()[3:6]


def test_what_the_server_refuses_is_our_own_error(seaweed, bucket):
    who = seaweed.reader(f"List:{bucket}")
    with pytest.raises(SourceError, match="AccessDenied"):
        weed.put(seaweed.server, who, KEYS[0], b"", bucket)


def test_keys_are_not_shown():
    who = weed.identity("someone", "Admin")
    assert who.access_key not in repr(who)
    assert who.secret_key not in repr(who)
    assert who.access_key != weed.identity("someone", "Admin").access_key


def test_it_says_why_it_does_not_come_up(seaweed_installed, tmp_path):
    with (
        pytest.raises(SourceUnavailable, match="the end of its log"),
        weed.serve(tmp_path, [], ready_timeout_s=0.05),
    ):
        pytest.fail("it came up in no time")
    assert not processes_of(tmp_path)


def test_two_servers_side_by_side_and_nothing_stays(seaweed, tmp_path):
    with serve_in(tmp_path) as server:
        assert server.endpoint_url != seaweed.endpoint_url
        assert alive(server.pid)
        port = int(server.endpoint_url.rpartition(":")[2])
    assert not alive(server.pid)
    assert not list(Path("/tmp").glob(f"seaweedfs-*-{port}.sock"))


def serve_in(directory):
    return weed.serve(directory, [weed.identity("writer", "Admin")])


PARENT = """
import signal, sys, threading
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background (nohup) bequeaths it ignored
from ingest.demo.servers.seaweed import identity, serve

def run():
    with serve(Path(sys.argv[1]), [identity("w", "Admin")]) as server:
        print(server.pid, server.endpoint_url.rpartition(':')[2], flush=True)
        threading.Event().wait(60)

if sys.argv[2] == "thread":  # one that ends long before the server does
    holder = []
    def start():
        context = serve(Path(sys.argv[1]), [identity("w", "Admin")])
        holder.append((context, context.__enter__()))
    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    server = holder[0][1]
    print(server.pid, server.endpoint_url.rpartition(':')[2], flush=True)
    threading.Event().wait(60)
else:
    run()
"""


@posix
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGKILL, marks=linux)])
def test_no_process_outlives_its_parent(seaweed_installed, tmp_path, how):
    parent, pid, port = started_parent(tmp_path, "main")
    parent.send_signal(how)
    parent.wait(20)
    parent.stdout.close()
    sweep_sockets(port)  # a kill leaves these empty files; nobody is there to remove them
    assert parent.returncode == {signal.SIGTERM: 143, signal.SIGKILL: -9}.get(how, parent.returncode)
    assert ended(pid)


@linux
def test_the_end_of_a_thread_is_not_the_end_of_the_server(seaweed_installed, tmp_path):
    parent, pid, port = started_parent(tmp_path, "thread")
    time.sleep(0.5)
    survived = alive(pid)
    parent.kill()
    parent.wait(20)
    parent.stdout.close()
    sweep_sockets(port)
    assert survived
    assert ended(pid)


@posix
def test_ctrl_c_reaches_the_parent_alone(seaweed):
    assert os.getpgid(seaweed.server.pid) != os.getpgid(0)


def test_a_command_that_does_not_exist_is_said(tmp_path):
    if sys.platform.startswith("linux"):
        process = child.spawn([str(tmp_path / "none")], tmp_path, dict(os.environ), tmp_path / "log")
        assert process.wait(10) == 1
        assert "FileNotFoundError" in (tmp_path / "log").read_text()
    else:
        with pytest.raises(SourceUnavailable, match="none"):
            child.spawn([str(tmp_path / "none")], tmp_path, dict(os.environ), tmp_path / "log")


def started_parent(directory, where):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(directory), where], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    pid, port = parent.stdout.readline().split()
    return parent, int(pid), int(port)


def alive(pid):
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")
    return False


def ended(pid, timeout_s=5):
    deadline = time.monotonic() + timeout_s
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def processes_of(directory):
    if not sys.platform.startswith("linux"):
        return []
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(path.read_bytes())
    return [line for line in lines if os.fsencode(directory) in line and b"weed" in line]
