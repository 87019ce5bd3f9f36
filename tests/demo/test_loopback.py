import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from itertools import chain

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from ingest.demo.servers import faults, loopback
from ingest.demo.servers.faults import Request

KEY = "us_stocks_sip/day_aggs_v1/2026/09/2026-09-01.csv.gz"
BODY = bytes(range(256)) * 400
SESSION = botocore.session.Session()


@pytest.fixture
def connect():
    made = []

    def client(server, access_key="KEY", read_timeout=5):
        made.append(
            SESSION.create_client(
                "s3",
                region_name="us-east-1",
                endpoint_url=server.endpoint_url,
                aws_access_key_id=access_key,
                aws_secret_access_key="any",
                config=Config(
                    s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=read_timeout
                ),
            )
        )
        return made[-1]

    yield client
    for one in made:
        one.close()


def refusal(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def get(client, key=KEY, **arguments):
    with closing(client.get_object(Bucket="flatfiles", Key=key, **arguments)["Body"]) as body:
        return body.read()


def listed(client, **arguments):
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="flatfiles", **arguments)
    return [[item["Key"] for item in page.get("Contents", [])] for page in pages]


def test_an_object_has_its_bytes_and_headers(connect):
    with loopback.serve({KEY: BODY}) as server:
        client = connect(server)
        answer = client.get_object(Bucket="flatfiles", Key=KEY)
        assert answer["Body"].read() == BODY
        head = client.head_object(Bucket="flatfiles", Key=KEY)
        for one in (answer, head):
            assert one["ETag"] == f'"{hashlib.md5(BODY).hexdigest()}"'
            assert one["ContentLength"] == len(BODY)
            assert abs((datetime.now(UTC) - one["LastModified"]).total_seconds()) < 60
        assert server.requests == (Request("GET", KEY, {}, 1), Request("HEAD", KEY, {}, 2))


@pytest.mark.parametrize(
    ("wanted", "expected"), [("bytes=3-9", BODY[3:10]), ("bytes=102000-", BODY[102000:]), ("bytes=-7", BODY[-7:])]
)
def test_ranges(connect, wanted, expected):
    with loopback.serve({KEY: BODY}) as server:
        answer = connect(server).get_object(Bucket="flatfiles", Key=KEY, Range=wanted)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert answer["Body"].read() == expected
        assert answer["ContentRange"].endswith(f"/{len(BODY)}")
        assert refusal(connect(server).get_object, Bucket="flatfiles", Key=KEY, Range="bytes=999999-")[0] == 416


def test_what_is_not_there_or_not_allowed(connect):
    with loopback.serve({KEY: BODY, "shut": b"x"}, forbidden={"shut"}, access_keys={"KEY"}) as server:
        client = connect(server)
        assert refusal(client.get_object, Bucket="flatfiles", Key="none") == (404, "NoSuchKey")
        assert refusal(client.get_object, Bucket="other", Key=KEY) == (404, "NoSuchBucket")
        assert refusal(client.list_objects_v2, Bucket="other") == (404, "NoSuchBucket")
        assert refusal(client.get_object, Bucket="flatfiles", Key="shut") == (403, "AccessDenied")
        assert refusal(client.head_object, Bucket="flatfiles", Key="shut")[0] == 403
        stranger = connect(server, access_key="STRANGER")
        assert refusal(stranger.list_objects_v2, Bucket="flatfiles") == (403, "InvalidAccessKeyId")
        assert listed(client) == [["shut", KEY]]
        server.forbidden.clear()
        assert get(client, "shut") == b"x"


def test_listings_by_prefix_in_pages_with_any_character(connect):
    keys = sorted(["a/1", "a/2 & <3>", "a/4+%20", "a/5\u00e9", "b/1", 'b/"2"'])
    with loopback.serve(dict.fromkeys(keys, b"x"), page_size=2) as server:
        client = connect(server)
        assert [*chain(*listed(client))] == keys
        assert [len(page) for page in listed(client)] == [2, 2, 2]
        assert listed(client, Prefix="a/", PaginationConfig={"PageSize": 3}) == [keys[:2], keys[2:4]]
        assert listed(client, Prefix="none") == [[]]
        assert listed(client, StartAfter=keys[3]) == [keys[4:]]
        assert all(get(client, key) == b"x" for key in keys)


def test_objects_change_while_it_runs(connect):
    with loopback.serve() as server:
        client = connect(server)
        server.put(KEY, b"one", datetime(2026, 9, 2, 4, tzinfo=UTC))
        (before,) = client.list_objects_v2(Bucket="flatfiles")["Contents"]
        assert before["LastModified"] == datetime(2026, 9, 2, 4, tzinfo=UTC)
        server.objects[KEY] = b"two!"
        (after,) = client.list_objects_v2(Bucket="flatfiles")["Contents"]
        assert (after["Size"], after["ETag"]) == (4, f'"{hashlib.md5(b"two!").hexdigest()}"')
        assert refusal(client.get_object, Bucket="flatfiles", Key=KEY, IfMatch=before["ETag"])[0] == 412
        del server.objects[KEY]
        assert listed(client) == [[]]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.SLOW_DOWN, (503, "SlowDown")),
        (faults.INTERNAL_ERROR, (500, "InternalError")),
        (faults.too_many_requests(7), (429, "TooManyRequests")),
    ],
)
def test_an_error_strikes_once_and_is_logged(connect, fault, expected):
    with loopback.serve({KEY: BODY}, faults=faults.strike_once({KEY}, fault)) as server:
        client = connect(server)
        assert refusal(client.get_object, Bucket="flatfiles", Key=KEY) == expected
        assert get(client) == BODY
        assert [request.nth for request in server.requests] == [1, 2]


def test_retry_after_arrives(connect):
    with loopback.serve({KEY: BODY}, faults=faults.always(faults.too_many_requests(7))) as server:
        with pytest.raises(ClientError) as caught:
            get(connect(server))
        assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "7"


def test_a_reset_before_the_answer(connect):
    with loopback.serve({KEY: BODY}, faults=faults.strike_once({KEY}, faults.ResetBefore())) as server:
        client = connect(server)
        with pytest.raises(ConnectionClosedError) as caught:
            get(client)
        assert isinstance(reason_of(caught.value), ConnectionResetError)
        assert get(client) == BODY


def test_a_reset_midway(connect):
    with loopback.serve({KEY: BODY}, faults=faults.always(faults.ResetMidway(5000))) as server:
        answer = connect(server).get_object(Bucket="flatfiles", Key=KEY)
        assert answer["ContentLength"] == len(BODY)
        with pytest.raises(ResponseStreamingError) as caught, closing(answer["Body"]) as body:
            body.read()
        assert isinstance(reason_of(caught.value), ConnectionResetError)


def test_a_body_that_ends_early(connect):
    with loopback.serve({KEY: BODY}, faults=faults.always(faults.ShortBody(3))) as server:
        answer = connect(server).get_object(Bucket="flatfiles", Key=KEY)
        assert answer["ContentLength"] == len(BODY)
        with pytest.raises((ResponseStreamingError, IncompleteReadError)) as caught, closing(answer["Body"]) as body:
            body.read()
        assert not isinstance(reason_of(caught.value), ConnectionResetError)
        assert "3 more expected" in str(caught.value)


def test_a_body_whose_length_agrees_with_its_being_short(connect):
    with loopback.serve({KEY: BODY}, faults=faults.always(faults.ShortLength(1))) as server:
        assert get(connect(server)) == BODY[:-1]


def test_a_body_that_is_longer_than_the_object(connect):
    with loopback.serve({KEY: BODY}, faults=faults.always(faults.LongBody(2))) as server:
        assert get(connect(server)) == BODY + bytes(2)


def test_a_part_that_is_said_to_begin_elsewhere(connect):
    with loopback.serve({KEY: BODY}, faults=faults.always(faults.Shifted(2))) as server:
        answer = connect(server).get_object(Bucket="flatfiles", Key=KEY, Range="bytes=3-9")
        assert answer["ContentRange"] == f"bytes 5-9/{len(BODY)}"
        assert answer["Body"].read() == BODY[3:10]


@pytest.mark.parametrize(
    ("lacks", "status"),
    [((), 412), (("if-match",), 200), (("if-range",), 412), (("if-match", "if-range"), 206), (("range",), 412)],
)
def test_conditions_that_do_not_hold_and_servers_that_ignore_them(connect, lacks, status):
    with loopback.serve({KEY: BODY}, faults=faults.always(faults.Heedless(lacks))) as server:
        client = connect(server)
        asked = {"Bucket": "flatfiles", "Key": KEY, "Range": "bytes=3-9", "IfMatch": '"stale"'}
        client.meta.events.register(
            "before-call.s3.GetObject", lambda params, **_: params["headers"].update({"If-Range": '"stale"'})
        )
        if status == 412:
            assert refusal(client.get_object, **asked) == (412, "PreconditionFailed")
        else:
            answer = client.get_object(**asked)
            assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
            assert answer["Body"].read() == (BODY if status == 200 else BODY[3:10])
        (request,) = server.requests
        assert request.conditions == {"range": "bytes=3-9", "if-match": '"stale"', "if-range": '"stale"'}


def test_what_was_sent_is_counted(connect):
    with loopback.serve({KEY: BODY}, faults=faults.strike({KEY}, faults.ShortBody(100), 1)) as server:
        client = connect(server)
        with pytest.raises((ResponseStreamingError, IncompleteReadError)):
            get(client)
        assert get(client, Range="bytes=0-9") == BODY[:10]
        assert server.sent[KEY] == len(BODY) - 100 + 10


def test_a_flipped_byte(connect):
    with loopback.serve({KEY: BODY}, faults=faults.always(faults.FlipByte(10))) as server:
        client = connect(server)
        body = get(client)
        assert (len(body), body[10]) == (len(BODY), BODY[10] ^ 0xFF)
        assert body[:10] + body[11:] == BODY[:10] + BODY[11:]
        assert server.objects[KEY] == BODY


def test_silence_midway_keeps_the_connection(connect):
    with loopback.serve({KEY: BODY}, faults=faults.always(faults.Silence(4096, 30))) as server:
        started = time.monotonic()
        answer = connect(server, read_timeout=0.3).get_object(Bucket="flatfiles", Key=KEY)
        with closing(answer["Body"]) as body:
            assert body.read(4096) == BODY[:4096]
            with pytest.raises(ReadTimeoutError):
                body.read()
        assert 0.25 < time.monotonic() - started < 3
    assert time.monotonic() - started < 5  # the server does not wait for the rest of the silence


def test_an_error_under_status_200(connect):
    with loopback.serve({KEY: BODY}, faults=faults.always(faults.XmlError200())) as server:
        assert b"<Code>InternalError</Code>" in get(connect(server))


def test_latency_is_only_late(connect):
    with loopback.serve({KEY: BODY}, faults=faults.always(faults.Latency(0.3))) as server:
        client = connect(server)
        get(client)
        started = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda _: get(client), range(4))) == [BODY] * 4
        assert 0.3 <= time.monotonic() - started < 1.1
        assert server.most_at_once == 4


def test_one_page_of_a_listing_fails(connect):
    keys = [f"{i:02d}" for i in range(6)]
    objects = dict.fromkeys(keys, b"x")
    with loopback.serve(objects, page_size=2, faults=faults.strike_listing(2, faults.SLOW_DOWN)) as server:
        client = connect(server)
        with pytest.raises(ClientError, match="SlowDown"):
            listed(client)
        assert [request.key for request in server.requests] == ["", ""]
        assert [*chain(*listed(client))] == keys


def test_a_seed_determines_its_script():
    def struck(seed, order):
        script = faults.some_of([faults.SLOW_DOWN, faults.ResetBefore()], seed)
        return {key: [script(Request("GET", key, {}, nth)) for nth in range(1, 6)] for key in order}

    keys = [str(i) for i in range(300)]
    once = struck(1, keys)
    assert once == struck(1, reversed(keys))
    assert once != struck(2, keys)
    assert 60 < sum(strikes[0] is not None for strikes in once.values()) < 140
    assert max(sum(fault is not None for fault in strikes) for strikes in once.values()) == 2
    assert {fault for strikes in once.values() for fault in strikes} == {None, faults.SLOW_DOWN, faults.ResetBefore()}
    assert faults.some_of([faults.SLOW_DOWN], 1)(Request("GET", "", {}, 1)) is None
    both = faults.first_of(faults.strike({"a"}, faults.SLOW_DOWN, 2), faults.always(faults.ResetBefore()))
    assert both(Request("GET", "a", {}, 2)) == faults.SLOW_DOWN
    assert both(Request("GET", "a", {}, 3)) == faults.ResetBefore()


def test_its_thread_ends_with_it():
    with loopback.serve():
        assert "loopback" in {thread.name for thread in threading.enumerate()}
    assert "loopback" not in {thread.name for thread in threading.enumerate()}


def reason_of(error):
    """The socket's error beneath those of botocore and urllib3."""
    seen = [error]
    while (deeper := seen[-1].__cause__ or seen[-1].__context__) is not None and deeper not in seen:
        seen.append(deeper)
    found = [one for one in seen if isinstance(one, OSError)]
    wrapped = [part for one in seen for part in (*one.args, *getattr(one, "kwargs", {}).values())]
    return next((one for one in [*found, *wrapped] if isinstance(one, ConnectionResetError)), seen[-1])
