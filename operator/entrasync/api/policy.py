"""Admission across objects: what a tenant may ask of its cloud.

A ValidatingAdmissionPolicy with AzureCloud as parameter is evaluated once for each AzureCloud; all
must hold, so each expression first lets every other cloud pass. A tenant that names an unknown
cloud is let through: its cloud may be applied later, and the operator reports it meanwhile.
"""

from __future__ import annotations

from typing import Any, Final

from entrasync.api.common import API_VERSION, GROUP, VERSION

POLICY_NAME: Final = "entrasync-tenant-endpoint"
_OTHER_CLOUD: Final = "params.metadata.name != object.spec.cloudRef.name"
_TRANSPORT: Final = "(has(object.spec.transport) ? object.spec.transport : 'SyncServiceV2')"


def render_policy() -> list[dict[str, Any]]:
    """The policy and its binding."""
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": POLICY_NAME, "labels": {"app.kubernetes.io/part-of": "entrasync"}},
        "spec": {
            "failurePolicy": "Fail",
            "paramKind": {"apiVersion": API_VERSION, "kind": "AzureCloud"},
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [GROUP],
                        "apiVersions": [VERSION],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["entratenants"],
                    }
                ]
            },
            "matchConditions": [
                {
                    "name": "not-deleting",
                    "expression": "!has(object.metadata.deletionTimestamp)",
                },
                {
                    "name": "spec-changed",
                    "expression": "oldObject == null || object.spec != oldObject.spec",
                },
            ],
            "validations": [_version_offered(), _cloud_open()],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": POLICY_NAME, "labels": {"app.kubernetes.io/part-of": "entrasync"}},
        "spec": {
            "policyName": POLICY_NAME,
            "paramRef": {"selector": {}, "parameterNotFoundAction": "Allow"},
            "validationActions": ["Deny"],
        },
    }
    return [policy, binding]


def _version_offered() -> dict[str, str]:
    """V2 never existed in Azure Germany; a custom cloud may offer one version only."""
    return {
        "expression": (
            f"{_OTHER_CLOUD} || params.spec.syncService.endpoints.exists(e,"
            f" 'SyncService' + e.version == {_TRANSPORT})"
        ),
        "messageExpression": (
            f"'`spec.transport` ' + {_TRANSPORT} + ' is not offered by AzureCloud '"
            " + params.metadata.name + ' (it offers '"
            " + params.spec.syncService.endpoints.map(e, e.version).join(', ') + ');"
            " set `spec.transport` to a version it offers, or `spec.cloudRef` to a cloud that"
            " offers this one: azure-commercial, azure-us-government, azure-us-government-dod or"
            " azure-china'"
        ),
        "message": "`spec.transport` is not offered by the cloud in `spec.cloudRef`",
        "reason": "Invalid",
    }


def _cloud_open() -> dict[str, str]:
    return {
        "expression": f"{_OTHER_CLOUD} || !has(params.spec.closedTime)",
        "messageExpression": (
            "'AzureCloud ' + params.metadata.name + ' was closed at '"
            " + string(params.spec.closedTime)"
            " + '; set `spec.cloudRef` to the cloud the tenant was moved to'"
        ),
        "message": "the cloud in `spec.cloudRef` was closed",
        "reason": "Invalid",
    }
