"""Names and values of the protocol, spelled once more."""

from __future__ import annotations

from entrasync.entra import contracts
from entrasync.entra.contracts import PROVISION, READ_BACK, SyncVersion
from tests.unit.entra.samples import HEADER, TOKEN


def test_the_two_versions_differ_in_the_names_of_their_operations() -> None:
    assert PROVISION[SyncVersion.V1] == "ProvisionAzureADSyncObjects"
    assert READ_BACK[SyncVersion.V1] == "ReadBackAzureADSyncObjects"
    for operations in (PROVISION, READ_BACK):
        assert operations[SyncVersion.V2] == f"{operations[SyncVersion.V1]}2"


def test_namespaces_are_spelled_as_on_the_wire() -> None:
    assert contracts.NS_SERVICE == "http://schemas.microsoft.com/online/aws/change/2010/01"
    assert contracts.NS_OBJECTS == "http://schemas.microsoft.com/online/aws/change/2014/06"
    assert contracts.NS_TOKEN == "urn:microsoft.online.administrativeservice"
    assert contracts.NS_ARRAYS == "http://schemas.microsoft.com/2003/10/Serialization/Arrays"
    assert contracts.NS_FAULTS == (
        "http://schemas.datacontract.org/2004/07/Microsoft.Online.Coexistence.Schema"
    )
    assert f"{contracts.NS_SERVICE}/IProvisioningWebService/" == contracts.ACTION_PREFIX


def test_identities_are_those_of_the_real_client() -> None:
    applications = contracts.APPLICATION_IDS
    assert applications[SyncVersion.V1] == "1651564e-7ce4-4d99-88be-0a65050d8dc3"
    assert applications[SyncVersion.V2] == "6eb59a73-39b2-4c23-a70f-e2e3ce8965b1"
    assert contracts.SERVICE_APPLICATION == "6bf85cfa-ac8a-4be5-b5de-425a0d0dc016"
    assert contracts.SERVICE_ROLE == "ADSynchronization.ReadWrite.All"


def test_the_build_is_one_the_service_still_takes() -> None:
    # builds below are refused after 30 September 2026
    assert tuple(map(int, contracts.DEFAULT_BUILD.split("."))) >= (2, 5, 79, 0)


def test_the_token_is_not_part_of_what_is_printed() -> None:
    assert TOKEN not in repr(HEADER)
    assert TOKEN not in str(HEADER.token)
