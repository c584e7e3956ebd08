"""A client nobody of this project wrote its parts for: another codec, the standard library's HTTP.

It writes as .NET does (typed records, words of the dictionary, declarations after attributes, other
prefixes than ours) and reads answers by prefixed names, as public clients do.
"""

from __future__ import annotations

import http.client
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from pynettcp import BinaryXmlReader, BinaryXmlWriter, DictStr, events_to_element
from typing_extensions import override

from tests.support.emulator import EmulatorServer

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://www.w3.org/2005/08/addressing"
AWS = "http://schemas.microsoft.com/online/aws/change/2010/01"
OBJ = "http://schemas.microsoft.com/online/aws/change/2014/06"
TOK = "urn:microsoft.online.administrativeservice"
ARR = "http://schemas.microsoft.com/2003/10/Serialization/Arrays"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XSD = "http://www.w3.org/2001/XMLSchema"
READ_BACK = "ReadBackAzureADSyncObjects"
PROVISION = "ProvisionAzureADSyncObjects"


class Client:
    """As little of a client as there can be."""

    def __init__(self, cloud: EmulatorServer) -> None:
        parts = urlsplit(cloud.url)
        self.cloud = cloud
        self.http = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, context=cloud.trust, timeout=60
        )

    def call(self, operation: str, body: Body) -> tuple[int, bytes]:
        message = str(uuid.uuid4())
        self.http.request(
            "POST",
            "/ProvisioningService.svc",
            self._envelope(operation, message, body),
            {"Content-Type": "application/soap+msbin1", "User-Agent": ""},
        )
        answer = self.http.getresponse()
        return answer.status, answer.read()

    def result(self, operation: str, body: Body) -> ET.Element:
        status, data = self.call(operation, body)
        root = events_to_element(BinaryXmlReader(data).read())
        assert root is not None
        assert status == 200, ET.tostring(root)
        found = root.find(f"{{{SOAP}}}Body/{{{AWS}}}{operation}Response/{{{AWS}}}{operation}Result")
        assert found is not None
        return found

    def _envelope(self, operation: str, message: str, body: Body) -> bytes:
        writer = BinaryXmlWriter()
        writer.start_element("s", DictStr("Envelope"))
        writer.xmlns("a", DictStr(ADDRESSING))
        writer.xmlns("s", DictStr(SOAP))
        writer.start_element("s", DictStr("Header"))
        writer.start_element("a", DictStr("Action"))
        writer.attribute("s", DictStr("mustUnderstand"), "1")
        writer.value(f"{AWS}/IProvisioningWebService/{operation}")
        writer.end_element()
        self._token(writer, message)
        writer.start_element("a", DictStr("MessageID"))
        writer.value(uuid.UUID(message))
        writer.end_element()
        writer.end_element()
        writer.start_element("s", DictStr("Body"))
        writer.start_element("", operation, AWS)
        body.write(writer)
        writer.end_element()
        writer.end_element()
        writer.end_element()
        return writer.getvalue()

    def _token(self, writer: BinaryXmlWriter, message: str) -> None:
        writer.start_element("t", "SyncToken")
        writer.attribute("s", DictStr("role"), TOK)
        writer.xmlns("t", TOK)
        for name, text in (
            ("ApplicationId", "6eb59a73-39b2-4c23-a70f-e2e3ce8965b1"),
            ("BearerToken", self.cloud.token()),
            ("ClientVersion", "8.0"),
            ("DirSyncBuildNumber", "2.5.79.0"),
            ("TrackingId", message),
        ):
            writer.start_element("", name, AWS)
            writer.value(text)
            writer.end_element()
        writer.end_element()


class Body:
    """Members of an operation, by name and typed value."""

    def __init__(self, **members: object) -> None:
        self.members = members

    def write(self, writer: BinaryXmlWriter) -> None:
        for name, value in self.members.items():
            writer.start_element("", name)
            if value is None:
                writer.attribute("i", DictStr("nil"), "true")
                writer.xmlns("i", DictStr(XSI))
            else:
                writer.value(value)
            writer.end_element()


class Export(Body):
    """Objects: kind, operation, and properties by key."""

    def __init__(self, *objects: tuple[str, str, dict[str, Any]]) -> None:
        super().__init__()
        self.objects = objects

    @override
    def write(self, writer: BinaryXmlWriter) -> None:
        writer.start_element("", "syncRequest")
        writer.xmlns("o", OBJ)
        writer.start_element("o", "SyncObjects")
        for kind, operation, properties in self.objects:
            writer.start_element("o", "AzureADSyncObject")
            writer.start_element("o", "PropertyValues")
            writer.xmlns("r", ARR)
            for key, value in properties.items():
                writer.start_element("r", "KeyValueOfstringanyType")
                writer.start_element("r", "Key")
                writer.value(key)
                writer.end_element()
                self._value(writer, value)
                writer.end_element()
            writer.end_element()
            for name, text in (("SyncObjectType", kind), ("SyncOperation", operation)):
                writer.start_element("o", name)
                writer.value(text)
                writer.end_element()
            writer.end_element()
        writer.end_element()
        writer.end_element()

    def _value(self, writer: BinaryXmlWriter, value: Any) -> None:
        writer.start_element("r", "Value")
        kinds = {str: "x:string", bool: "x:boolean", int: "x:long", bytes: "x:base64Binary"}
        kinds |= {list: "r:ArrayOfstring", tuple: "w:SyncReferenceChangeCollection"}
        writer.attribute("n", DictStr("type"), kinds[type(value)])
        writer.xmlns("n", DictStr(XSI))
        writer.xmlns("x", DictStr(XSD))
        writer.xmlns("w", AWS)
        if isinstance(value, list):
            for each in value:
                writer.start_element("r", DictStr("string"))
                writer.value(each)
                writer.end_element()
        elif isinstance(value, tuple):
            self._changes(writer, value)
        else:
            writer.value(value)
        writer.end_element()

    def _changes(self, writer: BinaryXmlWriter, changes: tuple[tuple[str, int], ...]) -> None:
        writer.start_element("w", "referenceChanges")
        for anchor, operation in changes:
            writer.start_element("w", "SyncReferenceChange")
            writer.start_element("w", DictStr("Reference"))
            for name, value in (("Anchor", anchor), ("referenceTypeInt", 2)):
                writer.start_element("w", name)
                writer.value(value)
                writer.end_element()
            writer.end_element()
            writer.start_element("w", "operationInt")
            writer.value(operation)
            writer.end_element()
            writer.end_element()
        writer.end_element()


@pytest.fixture
def client() -> Iterator[Client]:
    with EmulatorServer() as cloud:
        client = Client(cloud)
        yield client
        client.http.close()


def outcomes(result: ET.Element) -> list[tuple[str | None, str | None]]:
    results = result.findall(f"{{{OBJ}}}SyncObjectResults/{{{OBJ}}}AzureADSyncObjectResult")
    return [
        (each.findtext(f"{{{OBJ}}}SourceAnchor"), each.findtext(f"{{{OBJ}}}ResultCode"))
        for each in results
    ]


def test_it_exports_people_and_memberships_over_v2(client: Client) -> None:
    people = [
        (
            "User",
            "Add",
            {
                "SourceAnchor": f"person-{number}",
                "userPrincipalName": f"person{number}@contoso.test",
                "accountEnabled": number != 1,
                "countryCode": 276,
                "ThumbnailPhoto": bytes(range(number)),
                "proxyAddresses": [f"SMTP:person{number}@contoso.test"],
            },
        )
        for number in range(40)
    ]
    group = {"SourceAnchor": "group", "displayName": "Größe", "securityEnabled": True}
    created = client.result(PROVISION + "2", Export(*people, ("Group", "Set", group)))
    links = tuple((f"person-{number}", 1) for number in range(40))
    linked = client.result(
        PROVISION + "2", Export(("Group", "Set", {"SourceAnchor": "group", "member": links}))
    )
    left = client.result(
        PROVISION + "2",
        Export(("Group", "Set", {"SourceAnchor": "group", "member": (("person-7", 2),)})),
    )

    assert outcomes(created) == [(each[2]["SourceAnchor"], "Success") for each in people] + [
        ("group", "Success")
    ]
    assert outcomes(linked) == outcomes(left) == [("group", "Success")]
    cloud = client.cloud
    assert cloud.links("group") == sorted(f"person-{n}" for n in range(40) if n != 7)
    assert cloud.object("person-1")["attributes"]["accountEnabled"] is False
    assert cloud.object("person-3")["attributes"]["ThumbnailPhoto"] == "AAEC"
    assert cloud.object("group")["attributes"]["displayName"] == "Größe"


def test_it_sends_whole_memberships_over_v1_and_reads_both_back(client: Client) -> None:
    person = ("User", "Set", {"SourceAnchor": "ann", "userPrincipalName": "ann@contoso.test"})
    group = ("Group", "Set", {"SourceAnchor": "group", "displayName": "G", "member": ["ann"]})
    client.result(PROVISION, Export(person))
    client.result(PROVISION, Export(group))
    request = Body(includeLicenseInformation=True, inputCookie=None, isFullSync=True)
    sizes = {}
    for version in ("", "2"):
        listed = client.result(READ_BACK + version, request).findall(
            f"{{{OBJ}}}ResultObjects/{{{OBJ}}}AzureADSyncObject"
        )
        assert [each.findtext(f"{{{OBJ}}}SyncObjectType") for each in listed] == ["User", "Group"]
        sizes[version] = [len(each.findall(f"{{{OBJ}}}PropertyValues/*")) for each in listed]

    assert client.cloud.links("group") == ["ann"]
    # V1 tells of every attribute, V2 of those with a value
    assert all(one > two for one, two in zip(sizes[""], sizes["2"], strict=True))


def test_it_finds_the_configuration_under_the_names_clients_read(client: Client) -> None:
    result = client.result("GetCompanyConfiguration", Body(includeLicenseInformation=False))

    assert result.findtext(f"{{{AWS}}}TenantId") == client.cloud.tenant_id
    assert result.findtext(f"{{{AWS}}}MaxLinksSupportedAcrossBatchInProvision2") == "15000"
    sync = result.find(f"{{{AWS}}}DirSyncConfiguration")
    assert sync is not None
    prevention = sync.find(f"{{{AWS}}}PreventAccidentalDeletion")
    assert prevention is not None
    assert prevention.findtext(f"{{{AWS}}}ThresholdCount") == "500"
    for name in ("CurrentExport", "Writeback"):
        assert sync.find(f"{{{AWS}}}{name}") is not None


def test_it_finds_the_document_of_capabilities(client: Client) -> None:
    text = client.result("Capabilities", Body()).text or ""
    document = ET.fromstring(text)  # noqa: S314 - by the emulator of this test

    assert document.tag == "ServiceCapability"
    assert [each.text for each in document.iter("LatestProductVersion")] == ["3.2"]
    assert [each.text for each in document.iter("MinimumProductVersion")] == ["1.0"]
    assert [each.text for each in document.iter("Enabled")] == ["false"]


def test_a_member_out_of_order_is_dropped_as_wcf_drops_it(client: Client) -> None:
    # isFullSync stands before what it should follow: neither of the others is seen
    status, data = client.call(
        READ_BACK + "2", Body(isFullSync=True, inputCookie=None, includeLicenseInformation=True)
    )
    fault = events_to_element(BinaryXmlReader(data).read())

    assert status == 500
    assert fault is not None
    assert "includeLicenseInformation" in "".join(fault.itertext())


def test_what_it_gets_wrong_is_told_in_a_fault(client: Client) -> None:
    status, data = client.call("Provision", Body())
    fault = events_to_element(BinaryXmlReader(data).read())

    assert status == 500
    assert fault is not None
    assert fault.find(f"{{{SOAP}}}Body/{{{SOAP}}}Fault") is not None
    assert "ActionNotSupported" in "".join(fault.itertext())
