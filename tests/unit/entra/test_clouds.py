"""Where a token may travel."""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.azure_cloud import MICROSOFT_LOGIN_HOSTS, AzureCloud, Environment
from entrasync.api.shipped_clouds import shipped_clouds
from entrasync.emulator.certificates import make_server_tls
from entrasync.entra.clouds import Cloud, redirect_allowed, redirected, service_url, tls_context
from entrasync.entra.contracts import SERVICE_APPLICATION, SERVICE_ROLE
from entrasync.entra.tokens import SCOPE
from entrasync.errors import ConfigurationError
from tests.unit.entra.samples import MODERATE

SUFFIXES = (".microsoftonline.com",)
CLOUD = Cloud(
    name="commercial",
    login_authority="https://login.microsoftonline.com",
    sync_service_url="https://adminwebservice.microsoftonline.com",
    redirect_suffixes=SUFFIXES,
)
CURRENT = "https://adminwebservice.microsoftonline.com/provisioningservice.svc"


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("https://a.test", "https://a.test/provisioningservice.svc"),
        ("https://a.test/", "https://a.test/provisioningservice.svc"),
        ("https://a.test/x//", "https://a.test/x/provisioningservice.svc"),
        ("https://a.test/ProvisioningService.svc", "https://a.test/ProvisioningService.svc"),
        ("https://a.test/provisioningservice.svc/", "https://a.test/provisioningservice.svc"),
    ],
)
def test_the_service_has_one_path(base: str, expected: str) -> None:
    assert service_url(base) == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://bba800-anchor.microsoftonline.com/provisioningservice.svc",
        "https://a.b.microsoftonline.com",
        "https://A.MicrosoftOnline.COM/x",
        "HTTPS://a.microsoftonline.com",
        "https://a.microsoftonline.com:444/",
        "https://a.microsoftonline.com./",
    ],
)
def test_hosts_below_a_suffix_may_have_the_token(url: str) -> None:
    assert redirect_allowed(url, SUFFIXES)
    assert redirect_allowed(url, ("microsoftonline.com",))
    assert redirect_allowed(url, ("other.test", *SUFFIXES))


FOREIGN = [
    # look-alikes
    "https://evil.example/",
    "https://evil-microsoftonline.com/",
    "https://evilmicrosoftonline.com/",
    "https://microsoftonline.com/",
    "https://microsoftonline.com.evil.example/",
    "https://a.microsoftonline.com.evil.example/",
    "https://a.microsoftonline.co/",
    "https://a.microsoftonline.comm/",
    "https://a.microsoft0nline.com/",
    "https://a.m\u0131crosoftonline.com/",
    "https://a.microsoftonline\u3002com/",
    "https://.microsoftonline.com/",
    "https://a..microsoftonline.com/",
    "https://evil.example%2f.microsoftonline.com/",
    "https://evil.example;.microsoftonline.com/",
    "https://evil.example,a.microsoftonline.com/",
    f"https://{'a' * 64}.microsoftonline.com/",
    "https://-a.microsoftonline.com/",
    # addresses
    "https://127.0.0.1/",
    "https://169.254.169.254/",
    "https://[::1]/",
    "https://[::ffff:10.0.0.1]/",
    # who and where
    "https://a.microsoftonline.com@evil.example/",
    "https://user:password@a.microsoftonline.com/",
    "https://@a.microsoftonline.com/",
    "https://evil.example\\@a.microsoftonline.com/",
    "https://evil.example\\.microsoftonline.com/",
    "https://evil.example#.microsoftonline.com/",
    "https://evil.example?.microsoftonline.com/",
    "https://evil.example/.microsoftonline.com/",
    "https://evil.example:443.microsoftonline.com/",
    "https://a.microsoftonline.com:99999/",
    "https://a.microsoftonline.com:x/",
    # characters that one parser drops and another keeps
    "https://evil.example\t.microsoftonline.com/",
    "https://a.microsoftonline.com/\r\nHost: evil.example",
    " https://a.microsoftonline.com/",
    "https://a. microsoftonline.com/",
    # anything but https with a host
    "http://a.microsoftonline.com/",
    "ftp://a.microsoftonline.com/",
    "//a.microsoftonline.com/",
    "a.microsoftonline.com",
    "https:a.microsoftonline.com",
    "https:///a.microsoftonline.com",
    "https://[a.microsoftonline.com]/",
    "https://[::1",
    "",
]


@pytest.mark.parametrize("url", FOREIGN)
def test_other_hosts_may_not(url: str) -> None:
    assert not redirect_allowed(url, SUFFIXES)
    assert redirected(url, CLOUD, CURRENT) is None


@pytest.mark.parametrize("suffixes", [(), ("",), (".",), ("..",), (".a..com",)])
def test_a_suffix_of_nothing_lets_nothing_through(suffixes: tuple[str, ...]) -> None:
    assert not redirect_allowed("https://a.com/", suffixes)
    assert not redirect_allowed("https://a.microsoftonline.com/", suffixes)


def test_addresses_lie_below_no_suffix() -> None:
    assert not redirect_allowed("https://10.0.0.1/", (".0.1", "0.0.1"))


@MODERATE
@given(st.text(max_size=30), st.sampled_from(["https://", "https://a.", "", "https://x@"]))
def test_no_text_is_more_than_refused(text: str, start: str) -> None:
    url = f"{start}{text}"
    allowed = redirect_allowed(url, SUFFIXES)

    assert not allowed or ".microsoftonline.com" in url.lower()
    assert (redirected(url, CLOUD, CURRENT) is None) is not allowed


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://anchor.microsoftonline.com/ProvisioningService.svc?x=1#y",
            "https://anchor.microsoftonline.com/provisioningservice.svc",
        ),
        (
            "https://anchor.microsoftonline.com:8443",
            "https://anchor.microsoftonline.com:8443/provisioningservice.svc",
        ),
        # the host of the cloud's own URL, though no suffix names it
        (
            "https://10.0.0.5:9443/elsewhere",
            "https://10.0.0.5:9443/base/provisioningservice.svc",
        ),
        ("http://10.0.0.5/", None),
        ("https://10.0.0.6/", None),
        ("https://x@10.0.0.5/", None),
    ],
)
def test_a_redirection_changes_the_host_and_keeps_the_path(url: str, expected: str | None) -> None:
    private = Cloud(
        name="private",
        login_authority="https://10.0.0.5",
        sync_service_url="https://10.0.0.5/base",
        redirect_suffixes=SUFFIXES,
    )
    current = CURRENT if "anchor" in url else service_url(private.sync_service_url)

    assert redirected(url, private, current) == expected


def test_a_service_that_is_no_https_redirects_nowhere() -> None:
    assert redirected("https://a.microsoftonline.com/", CLOUD, "http://a.test/") is None


def with_bundle(pem: str | None) -> Cloud:
    return Cloud(
        name="private",
        login_authority="https://login.test",
        sync_service_url="https://sync.test",
        ca_bundle_pem=pem,
    )


BEGIN, CERTIFICATE_END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


@pytest.mark.parametrize(
    "pem",
    ["rubbish", f"{BEGIN}\nAAAA\n{CERTIFICATE_END}\n", f"{BEGIN}\n", "-----BEGIN", "Zertifikat Ü"],
)
def test_a_bundle_that_cannot_be_read_is_named(pem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        tls_context(with_bundle(pem))

    error = caught.value
    assert (error.reason, error.resource) == ("CertificateNotTrusted", "AzureCloud/private")
    assert error.field == "spec.caBundle"


@pytest.mark.parametrize("pem", [None, ""])
def test_without_a_bundle_the_systems_trust_holds(pem: str | None) -> None:
    context = tls_context(with_bundle(pem))

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_bundle_is_trusted_in_addition() -> None:
    tls = make_server_tls(["sync.test"], dt.datetime(2026, 11, 24, tzinfo=dt.UTC))
    before = tls_context(with_bundle(None)).cert_store_stats()["x509_ca"]

    context = tls_context(with_bundle(tls.ca))

    assert context.cert_store_stats()["x509_ca"] == before + 1
    assert context.verify_mode is ssl.CERT_REQUIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the documentation says of one cloud; the sync host of China is derived."""

    environment: Environment
    login: str
    graph: str | None
    sync_host: str
    suffixes: tuple[str, ...]
    anchors: tuple[str, ...]
    """Hosts of tenants that the service may redirect to."""
    v2: bool = True
    closed: str | None = None


US_HOST = "adminwebservice.gov.us.microsoftonline.com"
US_SUFFIXES = (".microsoftonline.com", ".microsoftonline.us")
US_ANCHORS = (
    "adminwebservice-s1-bn1a.microsoftonline.com",
    "adminwebservice-s1-dm2a.microsoftonline.com",
    "bba800-anchor.microsoftonline.us",
)
KNOWN = {
    "azure-commercial": Known(
        environment=Environment.COMMERCIAL,
        login="https://login.microsoftonline.com",
        graph="https://graph.microsoft.com",
        sync_host="adminwebservice.microsoftonline.com",
        suffixes=(".microsoftonline.com",),
        anchors=("bba800-anchor.microsoftonline.com",),
    ),
    "azure-us-government": Known(
        environment=Environment.US_GOVERNMENT,
        login="https://login.microsoftonline.us",
        graph="https://graph.microsoft.us",
        sync_host=US_HOST,
        suffixes=US_SUFFIXES,
        anchors=US_ANCHORS,
    ),
    "azure-us-government-dod": Known(
        environment=Environment.US_GOVERNMENT_DOD,
        login="https://login.microsoftonline.us",
        graph="https://dod-graph.microsoft.us",
        sync_host=US_HOST,
        suffixes=US_SUFFIXES,
        anchors=US_ANCHORS,
    ),
    "azure-china": Known(
        environment=Environment.CHINA,
        login="https://login.partner.microsoftonline.cn",
        graph="https://microsoftgraph.chinacloudapi.cn",
        sync_host="adminwebservice.partner.microsoftonline.cn",
        suffixes=(".partner.microsoftonline.cn",),
        anchors=("bba800-anchor.partner.microsoftonline.cn",),
    ),
    "azure-germany": Known(
        environment=Environment.GERMANY,
        login="https://login.microsoftonline.de",
        graph=None,
        sync_host="adminwebservice.microsoftonline.de",
        suffixes=(),
        anchors=(),
        v2=False,
        closed="2021-10-29T00:00:00Z",
    ),
}


def shipped(name: str) -> AzureCloud:
    return next(each for each in shipped_clouds() if each.metadata.name == name)


def cloud_of(resource: AzureCloud) -> Cloud:
    spec = resource.spec
    return Cloud(
        name=resource.metadata.name,
        login_authority=spec.login_authority,
        sync_service_url=spec.sync_service.url,
        redirect_suffixes=tuple(spec.sync_service.redirect_suffixes),
    )


def test_the_clouds_that_are_shipped_are_the_known_ones() -> None:
    assert [each.metadata.name for each in shipped_clouds()] == list(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_every_host_of_a_cloud_is_as_documented(name: str) -> None:
    known, spec = KNOWN[name], shipped(name).spec

    assert spec.environment is known.environment
    assert spec.login_authority == known.login
    assert known.login in MICROSOFT_LOGIN_HOSTS
    assert spec.microsoft_graph == known.graph
    assert spec.sync_service.url == f"https://{known.sync_host}"
    path = "/provisioningservice.svc"
    assert service_url(spec.sync_service.url) == f"https://{known.sync_host}{path}"
    assert tuple(spec.sync_service.redirect_suffixes) == known.suffixes
    limits = {str(each.version): each.max_group_members for each in spec.sync_service.endpoints}
    assert limits == ({"V2": 250_000, "V1": 50_000} if known.v2 else {"V1": 50_000})
    assert (spec.ca_bundle, spec.closed_time) == (None, known.closed)


def test_the_audience_of_tokens_is_the_same_in_all_clouds() -> None:
    assert SERVICE_APPLICATION == "6bf85cfa-ac8a-4be5-b5de-425a0d0dc016"
    assert SCOPE == "6bf85cfa-ac8a-4be5-b5de-425a0d0dc016/.default"
    assert SERVICE_ROLE == "ADSynchronization.ReadWrite.All"


def test_china_has_two_login_hosts_and_both_are_microsofts() -> None:
    assert "https://login.chinacloudapi.cn" in MICROSOFT_LOGIN_HOSTS


@pytest.mark.parametrize("name", KNOWN)
def test_a_cloud_redirects_to_its_own_tenants(name: str) -> None:
    known, cloud = KNOWN[name], cloud_of(shipped(name))
    here = service_url(cloud.sync_service_url)

    for host in (known.sync_host, *known.anchors):
        assert redirected(f"https://{host}/ProvisioningService.svc", cloud, here) == (
            f"https://{host}/provisioningservice.svc"
        )


@pytest.mark.parametrize("name", KNOWN)
def test_the_token_of_one_cloud_goes_to_no_other(name: str) -> None:
    known, cloud = KNOWN[name], cloud_of(shipped(name))
    hosts = {host for each in KNOWN.values() for host in (each.sync_host, *each.anchors)}
    # hosts of US Government lie below the suffix of Commercial too, and are documented so
    foreign = {
        host for host in hosts if not f".{host}".endswith((*known.suffixes, known.sync_host))
    }

    assert len(foreign) >= 3
    for host in foreign:
        assert redirected(f"https://{host}/", cloud, service_url(cloud.sync_service_url)) is None


@pytest.mark.parametrize("pem", ["rubbish", "Zertifikat Ü"])
def test_certificates_trusted_in_addition_that_cannot_be_read_are_named(pem: str) -> None:
    with pytest.raises(ConfigurationError, match="extraCA") as caught:
        tls_context(replace(with_bundle(None), extra_ca_pem=pem))
    assert caught.value.reason == "CertificateNotTrusted"
