"""Reasons of safety rules: they stop a plan until somebody has looked at it."""

from __future__ import annotations

from typing import Final

from entrasync.api.reason import OF_SYNC, Severity, of

_APPROVE: Final = (
    "Look at `status.blockedPlan`; put its digest into `spec.approvedPlan` if it is meant, else"
    " mend the cause."
)
_RAISE: Final = " A limit of `spec.safety` may be raised instead."

BLOCKED: Final = of(
    Severity.BLOCKED,
    (
        "ForeignEngineActive",
        OF_SYNC,
        "Another engine has synced the tenant since our last export, or before our first one.",
        (
            "See to it that only this one writes, for example `spec.takeover: FromEntraConnect` of"
            " the EntraTenant once Entra Connect is off; then put the digest of the message into"
            " `spec.approvedPlan`."
        ),
    ),
    (
        "SourceEmpty",
        OF_SYNC,
        "A scope that held objects is empty, or cannot be read.",
        "Mend the scope or the rights of the account; nothing is exported meanwhile.",
    ),
    (
        "SourceShrank",
        OF_SYNC,
        "The scope holds far fewer objects than before.",
        "Look whether they are gone for good; then raise `spec.safety.sourceShrink` for one run.",
    ),
    (
        "DeletionThresholdExceeded",
        OF_SYNC,
        "More objects would be deleted than the limit allows.",
        _APPROVE + _RAISE,
    ),
    (
        "DisableThresholdExceeded",
        OF_SYNC,
        "More users would be disabled than the limit allows.",
        _APPROVE + _RAISE,
    ),
    (
        "IdentityChangeThresholdExceeded",
        OF_SYNC,
        "More objects would change userPrincipalName or primary address than the limit allows.",
        _APPROVE + _RAISE,
    ),
    (
        "ClearThresholdExceeded",
        OF_SYNC,
        "More values would be removed than the limit allows.",
        _APPROVE + _RAISE,
    ),
    (
        "LinkRemovalThresholdExceeded",
        OF_SYNC,
        "More members would be removed from groups than the limit allows.",
        _APPROVE + _RAISE,
    ),
    (
        "OrphansNeedApproval",
        OF_SYNC,
        "Objects that this sync does not own would be deleted, as `spec.orphans: Delete` asks.",
        _APPROVE,
    ),
    (
        "TakeoverNeedsApproval",
        OF_SYNC,
        "Additions would take over cloud accounts, as `spec.matching` allows with approval.",
        _APPROVE,
    ),
)
