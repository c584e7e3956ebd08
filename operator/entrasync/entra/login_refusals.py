"""What the login authority's refusals mean: its codes, each with a cause and a remedy.

The codes (`AADSTS...`) are documented, those of federated credentials were seen in practice.
Microsoft calls them subject to change: one that is not known here is told as a refused credential.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from entrasync.entra.contracts import SERVICE_ROLE
from entrasync.entra.credentials import (
    CertificateCredential,
    Credential,
    FederatedCredential,
    thumbprint,
)
from entrasync.errors import ConfigurationError

SERVICE_NAME: Final = "Microsoft Entra AD Synchronization Service"

_CLIENT_ID: Final = "spec.application.clientId"
_TENANT_ID: Final = "spec.tenantId"

_BAD_SIGNATURE: Final = 700027
NOT_FEDERATED: Final = frozenset({70021, 70025, 700211, 700212, 700213, 7002137, 7002138})
"""No federated credential of the application fits the service account's token; the last by a
difference of upper and lower case alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRefusal:
    """What one code means.

    Attributes:
        cause: why the tenant refused, the middle of a sentence.
        remedy: what helps, the end of that sentence.
        reason: as conditions show it.
        field: field to look at, `None` for the one the credential comes from.
    """

    cause: str
    remedy: str
    reason: str = "CredentialsRejected"
    field: str | None = None


LOGIN_REFUSALS: Final[Mapping[int, LoginRefusal]] = {
    7000215: LoginRefusal(
        cause="the client secret is wrong",
        remedy="put the secret's value, not its id, into the Secret, or make a new one",
    ),
    7000222: LoginRefusal(
        cause="the client secret has expired",
        remedy="make a new secret of the application and put its value into the Secret",
    ),
    _BAD_SIGNATURE: LoginRefusal(
        cause="the certificate is not one of the application's, or its signature does not hold",
        remedy="upload the certificate to the application, or correct the Secret",
    ),
    700024: LoginRefusal(
        cause="what proves the application is not valid at this time",
        remedy="set the clock of the node, and see that the token file is renewed",
    ),
    700016: LoginRefusal(
        cause="the tenant has no such application",
        remedy="correct `spec.application.clientId`, or register the application in this tenant",
        field=_CLIENT_ID,
    ),
    7000112: LoginRefusal(
        cause="the application is switched off in the tenant",
        remedy="switch on sign-in of its service principal",
        field=_CLIENT_ID,
    ),
    53003: LoginRefusal(
        cause="a conditional access policy blocks the application",
        remedy="leave the application out of the policy, or allow the addresses it comes from",
        field=_CLIENT_ID,
    ),
    501051: LoginRefusal(
        cause=f"the application has no role on {SERVICE_NAME}",
        remedy=f"grant it {SERVICE_ROLE} with admin consent",
        reason="RoleMissing",
        field=_CLIENT_ID,
    ),
    500011: LoginRefusal(
        cause=f"the tenant has no {SERVICE_NAME}",
        remedy="switch on directory sync (`onPremisesSyncEnabled` of the organization), which"
        " brings it into the tenant",
        reason="SyncDisabledInTenant",
        field=_TENANT_ID,
    ),
}
"""What is told in particular; any other code is told as a refused credential."""

_ANY: Final = LoginRefusal(
    cause="the authority gave no reason known here",
    remedy="correct the Secret, or add the credential to the application",
)
_ANY_FEDERATED: Final = LoginRefusal(
    cause="the authority gave no reason known here",
    remedy="look at the federated credentials of the application",
)


def refused_login(
    codes: AbstractSet[int],
    told: str,
    *,
    credential: Credential,
    client_id: str,
    resource: str,
    claims: Mapping[str, object],
) -> ConfigurationError:
    """What a person must do about a refusal.

    Args:
        codes: numbers the authority gave.
        told: the same for people, for example `AADSTS700016`.
        credential: what was refused.
        client_id: the application.
        resource: `Kind/name` that the error points at.
        claims: of the service account's token, where that was the proof.
    """
    refusal = _refusal(codes, credential, claims)
    proof = ""
    if isinstance(credential, CertificateCredential):
        proof = f" of the certificate {thumbprint(credential)[:16]}..."
    return ConfigurationError(
        refusal.reason,
        f"the tenant refused the credential{proof} of application {client_id} ({told}):"
        f" {refusal.cause}; {refusal.remedy}",
        resource=resource,
        field=refusal.field or credential.origin,
    )


def _refusal(
    codes: AbstractSet[int], credential: Credential, claims: Mapping[str, object]
) -> LoginRefusal:
    federated = isinstance(credential, FederatedCredential)
    if federated and codes & NOT_FEDERATED:
        return _not_federated(claims)
    known = codes & LOGIN_REFUSALS.keys()
    if federated:
        known -= {_BAD_SIGNATURE}  # what it says of certificates does not hold
    if not known:
        return _ANY_FEDERATED if federated else _ANY
    return LOGIN_REFUSALS[min(known)]


def _not_federated(claims: Mapping[str, object]) -> LoginRefusal:
    audience = claims.get("aud")
    first = audience[0] if isinstance(audience, list) and audience else audience
    return LoginRefusal(
        cause="the application trusts no token of this service account",
        remedy=f"add a federated credential to it with issuer `{claims.get('iss', 'unknown')}`,"
        f" subject `{claims.get('sub', 'unknown')}` and audience `{first or 'unknown'}`, spelled"
        " exactly so; a new one takes some minutes to be known",
    )
