"""The emulator's page of the documentation, rendered from its models and tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from entrasync.emulator.certainty import EVIDENCE, GUESSES
from entrasync.emulator.config import EmulatorConfig
from entrasync.emulator.switches import Malformed, Switches

EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "redirects": {"redirects": 2},
    "redirectHost": {"redirectHost": "127.0.0.1"},
    "operations": {"busyEvery": 2, "operations": ["ProvisionAzureADSyncObjects2"]},
    "dropBeforeEvery": {"dropBeforeEvery": 3},
    "gatewayEvery": {"gatewayEvery": 3},
    "gatewayStatus": {"gatewayEvery": 3, "gatewayStatus": 502},
    "gatewayRetryAfterSeconds": {"gatewayEvery": 3, "gatewayRetryAfterSeconds": 5},
    "busyEvery": {"busyEvery": 3},
    "dropAfterEvery": {"dropAfterEvery": 3},
    "malformedEvery": {"malformedEvery": 3},
    "malformed": {"malformedEvery": 3, "malformed": Malformed.GARBAGE.value},
    "delayEvery": {"delayEvery": 4, "delaySeconds": 2},
    "delaySeconds": {"delaySeconds": 0.5},
    "throttle": {"throttle": {"writes": 500, "seconds": 60}},
    "syncOff": {"syncOff": True},
    "v2Off": {"v2Off": True},
    "minimumBuild": {"minimumBuild": "2.5.190.0"},
    "audience": {"audience": ["https://graph.windows.net"]},
    "tokenLifetimeSeconds": {"tokenLifetimeSeconds": 30},
    "expireTokens": {"expireTokens": True},
    "cookieLifetimeSeconds": {"cookieLifetimeSeconds": 30},
    "expireCookies": {"expireCookies": True},
    "maxObjectsPerRequest": {"maxObjectsPerRequest": 50},
    "maxLinksPerRequest": {"maxLinksPerRequest": 100},
    "readBackPageSize": {"readBackPageSize": 1},
    "maxGroupMembers": {"maxGroupMembers": {"V2": 20}},
}
"""One body for each switch, by its name."""

_ADDRESSES: Final = (
    ("GET /provisioningservice.svc", "the help page of the sync service, Microsoft's own probe"),
    ("POST /provisioningservice.svc", "the sync service, V1 and V2 (`application/soap+msbin1`)"),
    ("GET /<tenant>/v2.0/.well-known/openid-configuration", "the login authority"),
    ("GET /<tenant>/discovery/v2.0/keys", "public keys of its tokens"),
    ("POST /<tenant>/oauth2/v2.0/token", "client credentials: secret, certificate, federation"),
    ("POST /<tenant>/oauth2/token", "the same, by the older address"),
    ("GET, PATCH /v1.0/organization[/<tenant>]", "Graph: switch directory sync on or off"),
    (
        "GET, PATCH /v1.0/directory/onPremisesSynchronization[/<tenant>]",
        "Graph: features, the guard against deletions by accident, the interval",
    ),
    ("GET /v1.0/users[/<id or UPN>]", "Graph: users as everybody but a sync engine sees them"),
    ("GET /v1.0/groups[/<id>[/members]]", "Graph: groups and their members"),
    ("GET /v1.0/contacts", "Graph: contacts of the organization"),
    (
        "GET /v1.0/<users, groups or contacts>?$filter=...",
        (
            "Graph: those with a value of `mail` or `proxyAddresses`, users also of"
            " `userPrincipalName` or `onPremisesImmutableId`: `eq`, `in`, `any`, joined by `or`"
        ),
    ),
    (
        "GET /v1.0/directory/deletedItems/microsoft.graph.user",
        "Graph: deleted users, which come back when they are exported again",
    ),
    ("POST /v1.0/$batch", "Graph: up to 20 requests at once"),
    (
        "GET /beta/users/<id>?$select=onPremisesObjectIdentifier",
        "Graph: the directory object a user is tied to",
    ),
    (
        "GET, PATCH /v1.0/<users or groups>/<id>/onPremisesSyncBehavior",
        "Graph: convert an object to cloud-managed, and back",
    ),
    ("GET /healthz", "whether it serves"),
    ("GET /", "pages for people: tenants, objects, links, requests"),
    ("GET /admin/tenants", "tenants and how much each holds"),
    ("GET /admin/tenants/<id>/objects[?type=User]", "objects, deleted ones included"),
    ("GET /admin/tenants/<id>/objects/<anchor>", "one object; the anchor in base64url"),
    ("GET /admin/tenants/<id>/links?group=<anchor>", "anchors of a group's members, sorted"),
    ("GET /admin/tenants/<id>/requests", "the last 10,000 requests of the sync service"),
    ("GET, PUT /admin/tenants/<id>/faults", "the switches; PUT sets those named, resets the rest"),
    (
        "POST /admin/tenants/<id>/quarantine/retry",
        "tries quarantined values again now, which else happens every hour",
    ),
)

_HEAD: Final = """# The emulated Azure cloud

Generated from the models of the emulator. `entrasync emulate` serves what a sync needs of Azure
over TLS: the login authority, the sync service with V1 and V2, and the part of Microsoft Graph
that verifies a tenant. It behaves as Microsoft documents, and misbehaves when it is told to. It
is for tests, demos and plans in pull requests; nothing in it is a real account.

## Start it

Without a configuration file there is one tenant, whose application gets a certificate made for
it. With one there is what it says:

```sh
mkdir -p config secrets/contoso-entra-app
cat > emulator.yaml <<'EOF'
tenants:
- tenantId: 3f2504e0-4f89-41d3-9a0c-0305e82c3301
  initialDomain: contoso.onmicrosoft.com
  verifiedDomains: [contoso.test]
  applications:
  - clientId: 7d444840-9dc0-11d1-b245-5ffdce74fad2
    clientSecret: not-a-secret-in-a-real-cloud
EOF
entrasync emulate --config emulator.yaml --listen 127.0.0.1:8443 --data cloud.db \\
  > config/cloud.yaml 2> emulator.log &
until curl --silent --insecure --fail https://localhost:8443/healthz; do sleep 0.2; done
```

Once it listens, it prints on standard output an AzureCloud with its address and CA for each
cloud, an EntraTenant for each tenant, and the Secret of each tenant's first application as far as
the emulator knows it, ready for `kubectl apply -f`. Its log goes to standard error. `--data FILE`
keeps certificates, what the tenants hold and what administrators changed over a restart; without
it everything is forgotten. SIGTERM or Ctrl-C ends it. It has no users of its own: whoever reaches
its port may read what the tenants hold and set the switches, so leave it on a loopback address,
or in a cluster behind a NetworkPolicy.

## Point a sync at it, without a cluster

What it printed is the cloud's half of a configuration. The other half is the directory; Secrets
lie in files, as a kubelet mounts them. `AD_URL`, `AD_USER`, `AD_PASSWORD` and `AD_CA` stand for
yours:

```sh
printf %s not-a-secret-in-a-real-cloud > secrets/contoso-entra-app/client-secret
mkdir -p secrets/contoso-ad-reader
printf %s "$AD_USER" > secrets/contoso-ad-reader/username
printf %s "$AD_PASSWORD" > secrets/contoso-ad-reader/password
cp "$AD_CA" secrets/contoso-ad-reader/ca.crt
cat > config/sync.yaml <<EOF
apiVersion: entrasync.dev/v1alpha1
kind: ActiveDirectory
metadata: {name: contoso, namespace: default}
spec:
  servers: ["$AD_URL"]
  bindSecretRef: {name: contoso-ad-reader}
  caProvider: {type: Secret, name: contoso-ad-reader, key: ca.crt}
---
apiVersion: entrasync.dev/v1alpha1
kind: DirectorySync
metadata: {name: contoso, namespace: default}
spec:
  sources:
  - name: contoso
    activeDirectoryRef: {name: contoso}
    include: ["OU=Contoso,DC=contoso,DC=test"]
  target: {entraTenantRef: {name: contoso}}
EOF
```

`entrasync plan` says what a run would do and changes nothing; `entrasync run` does it:

```sh
entrasync plan --filename config --secrets secrets
entrasync run --config config --secrets secrets --state state
```

The result is at `https://localhost:8443/` for people, and as JSON:

```sh
curl --silent --insecure --fail https://localhost:8443/admin/tenants
```

## Let it misbehave

`PUT` sets the switches its body names, and all others to what the configuration file says; `{}`
resets them all:

```sh
FAULTS=https://localhost:8443/admin/tenants/3f2504e0-4f89-41d3-9a0c-0305e82c3301/faults
curl --silent --insecure --fail --request PUT --data '{"busyEvery": 3, "redirects": 2}' $FAULTS
entrasync run --config config --secrets secrets --state state --scope Full
curl --silent --insecure --fail --request PUT --data '{}' $FAULTS
```

"""


def render_emulator_reference() -> str:
    """The whole page as Markdown."""
    parts = (
        _switches(),
        "## The configuration file\n\nRequired fields are marked *required*.",
        _configuration(),
        (
            "## Addresses\n\nLists below `/admin/` are JSON, `"
            '{"items": [...], "continue": "..."}'
            "`: `?continue=` goes on where a list ended, `?limit=` says how many (500 unless told,"
            " at most 10,000)."
        ),
        _table(("address", "what it is"), [(f"`{name}`", what) for name, what in _ADDRESSES]),
        (
            "## How much of this is known\n\nMicrosoft documents how the service behaves, not its"
            " messages."
        ),
        _table(("evidence", "for"), EVIDENCE),
        "What is guessed stands in one place each, where a live answer would correct it:",
        _guesses(),
    )
    return _HEAD + "\n\n".join(parts) + "\n"


def _switches() -> str:
    usual = Switches().model_dump(mode="json", by_alias=True)
    described = Switches.model_json_schema()["properties"]
    rows = [
        (
            f"`{name}`",
            f"`{json.dumps(usual[name])}`",
            _text(described[name].get("description", "")),
            f"`{json.dumps(EXAMPLES[name])}`",
        )
        for name in described
    ]
    told = _text((Switches.__doc__ or "").partition("\n")[2])
    return f"{told}\n\n" + _table(("switch", "default", "what it does", "a body"), rows)


def _configuration() -> str:
    schema = EmulatorConfig.model_json_schema()
    rows: list[tuple[str, str, str]] = []
    _collect("", schema, schema["$defs"], rows)
    return _table(("field", "type", "meaning"), rows)


def _collect(
    prefix: str,
    node: Mapping[str, Any],
    known: Mapping[str, Any],
    rows: list[tuple[str, str, str]],
) -> None:
    required = set(node.get("required", ()))
    for name, given in node["properties"].items():
        child = _resolved(given, known)
        mark = " *required*" if name in required else ""
        meaning = _text(given.get("description") or child.get("description", ""))
        if isinstance(given.get("default"), bool | int | str):
            meaning += f" Default: `{json.dumps(given['default'])}`."
        rows.append((f"`{prefix}{name}`", _type_of(child, known) + mark, meaning))
        inner, step = child, "."
        if child.get("type") == "array":
            inner, step = _resolved(child["items"], known), "[]."
        # the switches have a table of their own
        if "properties" in inner and inner.get("title") != Switches.__name__:
            _collect(f"{prefix}{name}{step}", inner, known, rows)


def _resolved(node: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema behind a reference, or behind "this or nothing"."""
    choices = [each for each in node.get("anyOf", ()) if each.get("type") != "null"]
    if len(choices) == 1:
        return _resolved(choices[0], known)
    if "$ref" in node:
        found: Mapping[str, Any] = known[node["$ref"].rsplit("/", 1)[-1]]
        return found
    return node


def _type_of(node: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    if "enum" in node:
        return " \\| ".join(f"`{value}`" for value in node["enum"])
    if node.get("type") == "array":
        return f"list of {_type_of(_resolved(node['items'], known), known)}"
    if node.get("type") == "object" and "properties" not in node:
        return "map"
    return str(node.get("type", "any"))


def _guesses() -> str:
    rows = []
    for each in GUESSES:
        value = each.value()
        told = f"`{value}`" if isinstance(value, str) else "what this does"
        rows.append((each.what, told, f"`entrasync.{each.module}.{each.name}`"))
    return _table(("what", "taken for", "where"), rows)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = tuple(heads)
    lines = [heads, ("---",) * len(heads), *map(tuple, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(description: str) -> str:
    return " ".join(description.split()).replace("|", "\\|")
