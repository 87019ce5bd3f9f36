"""Every way to the source keeps the same promises: direct, through a proxy, through a proxy that speaks TLS itself."""

import gc
import re
import ssl
from datetime import date
from pathlib import Path
from types import ModuleType

import anyio
import pytest
import trustme
from aiobotocore.httpsession import AIOHTTPSession
from pipeline_kit import Place, market_objects, trading_days, window
from proxy_kit import HOST, VARIABLES, bundle_of, proxying, server_tls
from tuning_kit import tune

from ingest.demo.servers import answering, faults, loopback
from ingest.demo.servers.faults import Status
from ingest.errors import Disrupted, SourceRefused, UsageError
from ingest.sources.massive.client import connect
from ingest.sources.massive.transport import Session, Transport, is_this_machine

DAYS = trading_days(date(2025, 3, 3), 3)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def surroundings(loopback_keys, monkeypatch):
    tune(monkeypatch, longest_wait_s=0.01)
    for name in (*VARIABLES, "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def source(authority):
    """A source under its own name, which only a proxy leads to."""
    with loopback.serve(market_objects(DAYS), tls=server_tls(authority, HOST)) as server:
        yield server


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "cache", f"https://{HOST}", source={"attempts": 1})


@pytest.fixture
def trusting(authority, monkeypatch):
    with bundle_of(authority) as path:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(path))
        yield path


def refused(place):
    """What is said where a certificate is refused; nothing was fetched."""
    ran = place.run(*window(DAYS), fails=SourceRefused)
    assert (ran.error.exit_code, ran.committed) == (4, [])
    assert "certificate" in str(ran.error)
    assert "AWS_CA_BUNDLE" in str(ran.error)
    return str(ran.error)


def test_an_unknown_authority_behind_a_proxy_is_refused(place, source, monkeypatch):
    before = len(source.requests)
    with proxying(**{HOST.replace(".", "_"): source.endpoint_url}) as proxy:
        proxy.in_environment(monkeypatch)
        assert f"{HOST}:443" in refused(place)
        told = place.cli("run", "--start", DAYS[0], "--end", DAYS[-1])
    assert (told.returncode, "certificate" in told.stderr) == (4, True)
    assert proxy.asked[0] == f"CONNECT {HOST}:443 HTTP/1.1"
    assert len(source.requests) == before


def test_an_authority_of_our_own_behind_a_proxy_is_trusted(place, source, trusting, monkeypatch):
    with proxying(**{HOST.replace(".", "_"): source.endpoint_url}) as proxy:
        proxy.in_environment(monkeypatch)
        assert place.run(*window(DAYS)).committed == DAYS
    assert {line.split()[0] for line in proxy.asked} == {"CONNECT"}


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_an_empty_name_of_a_bundle_switches_nothing_off(place, source, monkeypatch, variable):
    monkeypatch.setenv(variable, "")
    with proxying(**{HOST.replace(".", "_"): source.endpoint_url}) as proxy:
        proxy.in_environment(monkeypatch)
        refused(place)
    refused(Place(place.root, source.endpoint_url, source={"attempts": 1}))


@pytest.mark.parametrize("behind", [False, True], ids=["direct", "behind a proxy"])
def test_a_certificate_of_another_host_is_refused(place, authority, trusting, monkeypatch, behind):
    """A trusted authority vouches for a name, and this is not the one that was asked for."""
    with loopback.serve(market_objects(DAYS), tls=server_tls(authority, "other.example.test")) as server:
        with proxying(**{HOST.replace(".", "_"): server.endpoint_url}) as proxy:
            if behind:
                proxy.in_environment(monkeypatch)
            refused(place if behind else Place(place.root, server.endpoint_url, source={"attempts": 1}))
        assert server.requests == ()


def test_a_proxy_that_speaks_tls_is_verified_too(place, source, authority, trusting, monkeypatch):
    unknown = trustme.CA()
    for tls, known in ((server_tls(unknown, "127.0.0.1"), False), (server_tls(authority, "127.0.0.1"), True)):
        with proxying(tls, **{HOST.replace(".", "_"): source.endpoint_url}) as proxy:
            proxy.in_environment(monkeypatch)
            if known:
                assert place.run(*window(DAYS)).committed == DAYS
            else:
                assert f"127.0.0.1:{proxy.port}" in refused(place)
                assert proxy.asked == []


def test_old_versions_of_tls_are_not_spoken(place, authority, trusting, monkeypatch):
    tls = server_tls(authority, HOST)
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.deprecated_call():
        tls.minimum_version, tls.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with loopback.serve(market_objects(DAYS), tls=tls) as server:
        with proxying(**{HOST.replace(".", "_"): server.endpoint_url}) as proxy:
            proxy.in_environment(monkeypatch)
            place.run(*window(DAYS), fails=Disrupted)
        assert server.requests == ()


def test_a_bundle_may_be_a_folder_and_one_that_is_none_is_named(place, source, trusting, tmp_path, monkeypatch):
    with proxying(**{HOST.replace(".", "_"): source.endpoint_url}) as proxy:
        proxy.in_environment(monkeypatch)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path))
        refused(place)  # an empty folder vouches for nobody
        (tmp_path / "junk.pem").write_text("no certificate")
        for name in ("junk.pem", "none.pem"):
            monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / name))
            ran = place.run(*window(DAYS), fails=UsageError)
            assert f"names {tmp_path / name}, which cannot be read" in str(ran.error)


def test_who_hands_out_keys_is_verified_as_the_source_is(loopback_keys, tmp_path, monkeypatch, source):
    """A profile with a role asks STS first: through the same transport, behind the same proxy."""
    config = tmp_path / "config"
    config.write_text(
        "[profile base]\naws_access_key_id = KEY\naws_secret_access_key = YOUR_SECRET\n"
        "[profile massive]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = base\n"
    )
    loopback_keys.write_text("")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # botocore's own, of STS, with seconds between them
    place = Place(tmp_path / "cache", "http://127.0.0.1:9", source={"attempts": 1})
    with proxying(sts_amazonaws_com=source.endpoint_url) as proxy:
        proxy.in_environment(monkeypatch)
        refused(place)
    assert set(proxy.asked) == {"CONNECT sts.amazonaws.com:443 HTTP/1.1"}


def test_no_proxy_is_heeded(place, source, monkeypatch):
    with proxying() as proxy:
        proxy.in_environment(monkeypatch)
        monkeypatch.setenv("NO_PROXY", "other.example,example.test")
        place.run(*window(DAYS), fails=Disrupted)  # there is no such host
    assert proxy.asked == []


@pytest.mark.parametrize("behind", ["service", "role"])
@pytest.mark.parametrize("name", ["127.0.0.1", "other.example.test"])
def test_a_container_s_service_that_hands_out_keys_is_verified_by_its_name(
    place, loopback_keys, tmp_path, authority, trusting, monkeypatch, behind, name
):
    """botocore lets it be of any name: who is trusted for another one would be given our token."""
    role = "role_arn = arn:aws:iam::123456789012:role/x\ncredential_source = EcsContainer\n" if behind == "role" else ""
    (tmp_path / "config").write_text(f"[profile massive]\n{role}")
    loopback_keys.write_text("")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "YOUR_TOKEN")
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.RETRY_ATTEMPTS", 1)
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    with loopback.serve({}, tls=server_tls(authority, name)) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.endpoint_url}/keys")
        ran = place.run(*window(DAYS), fails=UsageError)
        assert bool(server.requests) == (name == "127.0.0.1")
    assert ("certificate" in str(ran.error)) == (name != "127.0.0.1")


def test_whoever_a_session_asks_for_keys_is_asked_by_our_transport(loopback_keys):
    """All that is reachable from where keys come from: what botocore brings along compares no host name."""
    core = Session(profile="massive")
    seen, left, found = set(), [core.get_component("credential_provider")], []
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | Session):
            continue
        seen.add(id(one))
        found += [one] if isinstance(one, AIOHTTPSession) else []
        left += gc.get_referents(one)
    assert len(found) >= 2
    assert {type(one).__module__ for one in found} == {Transport.__module__}
    assert all(isinstance(one, Transport) for one in found)


NO_PROXIES = [
    *("socks5://127.0.0.1:9", "SOCKS5h://user:hush-hush@127.0.0.1:9", "socks4a://127.0.0.1:9", "ftp://127.0.0.1"),
    *("http://", "://127.0.0.1:9", "http://127.0.0.1:port", "127.0.0.1:99999", "http:127.0.0.1:9", "a proxy", "a,b"),
    *("http://user:hush-hush/@127.0.0.1:9", "user:hush-hush#@127.0.0.1:9", "http://127.0.0.1:9/hush-hush", "<b>"),
]


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_that_is_none_is_an_error_that_names_its_variable(place, monkeypatch, variable):
    for named in NO_PROXIES:
        monkeypatch.setenv(variable, named)
        error = place.run(*window(DAYS), fails=UsageError).error
        assert str(error).startswith(f"{variable} names "), named
        assert "http://host:port" in str(error)
        assert "hush" not in str(error)
        kind = named.partition("://")[0].lower()
        assert (f"of the kind {kind}://" in str(error)) == kind.startswith(("socks", "ftp"))
    monkeypatch.setenv("NO_PROXY", HOST)
    place.run(*window(DAYS), fails=Disrupted)  # there is no such host; no proxy was needed


@pytest.mark.parametrize("spelled", ["http://{}", "HTTP://{}", "{}", "//{}", " http://user:word%40@{}/ "])
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_may_be_spelled_in_many_ways(place, source, trusting, monkeypatch, spelled, variable):
    with proxying(**{HOST.replace(".", "_"): source.endpoint_url}) as proxy:
        monkeypatch.setenv(variable, spelled.format(f"127.0.0.1:{proxy.port}"))
        place.preview(*window(DAYS))
    assert set(proxy.asked) == {f"CONNECT {HOST}:443 HTTP/1.1"}


def test_a_proxy_of_another_scheme_is_no_way_to_the_source(place, source, trusting, monkeypatch):
    with proxying(**{HOST.replace(".", "_"): source.endpoint_url}) as proxy:
        proxy.in_environment(monkeypatch)
        monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:9")
        monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
        place.preview(*window(DAYS))


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_this_machine_is_reached_without_any_proxy(tmp_path, monkeypatch, name):
    with loopback.serve(market_objects(DAYS)) as server, proxying() as proxy:
        proxy.in_environment(monkeypatch, "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY")
        place = Place(tmp_path / "cache", server.endpoint_url.replace("127.0.0.1", name), source={"attempts": 1})
        assert place.run(*window(DAYS)).committed == DAYS
        assert proxy.asked == []


def test_what_is_this_machine():
    ours = ["127.0.0.1", "127.255.0.9", "127.1", "::1", "localhost", "LOCALHOST.", "a.localhost", "::ffff:127.0.0.1"]
    others = ["files.massive.com", "localhost.example", "128.0.0.1", "10.0.0.1", "::2", "127.0.0.1.example", ""]
    assert [name for name in ours if not is_this_machine(name)] == []
    assert [name for name in others if is_this_machine(name)] == []


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (407, SourceRefused, "407 Proxy Authentication Required"),
        (403, SourceRefused, "403 Forbidden by policy"),
        (502, Disrupted, "502"),
        (503, Disrupted, "503"),
    ],
)
def test_a_proxy_that_leads_nowhere_is_named(place, monkeypatch, status, kind, words):
    with proxying() as proxy:
        reason = words[4:] or "Bad"
        proxy.refusal = f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\n\r\n".encode()
        proxy.in_environment(monkeypatch)
        ran = place.run(*window(DAYS), fails=kind)
    assert words in str(ran.error)
    assert ("HTTPS_PROXY" in str(ran.error)) == (kind is SourceRefused)


STATUSES = [300, 301, 302, 303, 307, 308]


@pytest.mark.parametrize("status", STATUSES)
def test_nothing_reaches_a_host_that_we_are_sent_on_to(tmp_path, status):
    with loopback.serve(market_objects(DAYS)) as other, loopback.serve({}) as server:
        there = f"{other.endpoint_url}/flatfiles/%1b[31m"
        server.faults = faults.always(Status(status, "Redirect", (("Location", there),)))
        ran = Place(tmp_path / "cache", server.endpoint_url).run(*window(DAYS), fails=SourceRefused)
        assert (other.requests, len(server.requests)) == ((), 1)
    assert there in str(ran.error)


@pytest.mark.parametrize("where", ["/flatfiles/elsewhere", "?again", ""])
def test_nor_the_same_host_again(tmp_path, where):
    with loopback.serve(market_objects(DAYS)) as server:
        server.faults = faults.always(Status(307, "TemporaryRedirect", (("Location", where),)))
        ran = Place(tmp_path / "cache", server.endpoint_url).run(*window(DAYS), fails=SourceRefused)
        assert len(server.requests) == 1
    assert "307 TemporaryRedirect: the source redirects" in str(ran.error)


def test_an_object_that_is_elsewhere_is_not_fetched_there(tmp_path):
    with loopback.serve(market_objects(DAYS)) as other, loopback.serve(market_objects(DAYS)) as server:
        sent_on = Status(302, "Found", (("Location", other.endpoint_url),))
        server.faults = faults.strike(set(server.objects), sent_on, times=99)
        ran = Place(tmp_path / "cache", server.endpoint_url).run(*window(DAYS), fails=SourceRefused)
        assert (other.requests, ran.committed) == ((), [])


@pytest.mark.parametrize(
    ("status", "body", "headers", "words"),
    [
        (
            301,
            b"<Error><Code>PermanentRedirect</Code><Endpoint>b.s3.example.test</Endpoint></Error>",
            {"x-amz-bucket-region": "eu-west-9"},
            "is not followed: set [source] endpoint_url to the S3 gateway itself, and region to eu-west-9",
        ),
        (
            400,
            b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-9</Region></Error>",
            {},
            "see [source] region",
        ),
        (301, b"", {"x-amz-bucket-region": "eu-west-9"}, "does not say where to"),
    ],
    ids=["permanent", "another region", "without a body"],
)
def test_the_region_that_s3_names_is_told_and_not_gone_to(tmp_path, monkeypatch, status, body, headers, words):
    answer = answering.Answer(status, body, headers)
    monkeypatch.setattr(loopback.Server, "_answer", lambda self, request: answer)
    with loopback.serve({}) as server:
        ran = Place(tmp_path / "cache", server.endpoint_url).run(*window(DAYS), fails=SourceRefused)
        assert len(server.requests) == 1
    assert words in str(ran.error)


def test_a_head_that_is_answered_with_400_leads_nowhere(tmp_path):
    """botocore would look for the bucket's region, and ask again there."""
    with loopback.serve(market_objects(DAYS), faults=faults.always(Status(400, "Bad"))) as server:

        async def head():
            async with connect(Place(tmp_path, server.endpoint_url).settings().source) as source:
                await source._client.head_object(Bucket="flatfiles", Key="x")

        with pytest.raises(Exception, match="400"):
            anyio.run(head)
        assert [request.method for request in server.requests] == ["HEAD"]


UNVERIFIED = re.compile(
    r"CERT_NONE|CERT_OPTIONAL|check_hostname\s*=\s*False|verify\s*=\s*False|\bssl\s*=\s*False|verify_ssl|"
    r"_create_unverified_context|_create_stdlib_context|SSL_VERIFY(PEER|HOST)|disable_warnings|PROTOCOL_TLS\b"
)


def test_nobody_builds_an_unverified_context():
    files = [file for folder in ("ingest", "benchmarks", "docs") for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 150
    found = [f"{file.relative_to(ROOT)}: {line}" for file in files for line in file.read_text().splitlines()]
    assert [line for line in found if UNVERIFIED.search(line)] == []
    # Who builds a context or a connector is known, and tested here.
    builders = {
        line.partition(":")[0] for line in found if re.search(r"SSLContext\(|TCPConnector\(|default_context", line)
    }
    assert builders == {"ingest/sources/massive/transport.py"}
