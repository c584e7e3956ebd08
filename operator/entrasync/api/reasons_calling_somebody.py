"""Reasons that call a person: what only somebody can mend."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from entrasync.api.reason import (
    CLOUD,
    OF_DIRECTORY,
    OF_PARTS,
    OF_SYNC,
    OF_TENANT,
    RUN,
    SYNC,
    Reason,
    Severity,
    of,
)

_MISSING: Final = of(
    Severity.NEEDS_SOMEBODY,
    (
        "ReferenceNotFound",
        OF_PARTS,
        "A resource that is named does not exist.",
        "Create it, or correct the name in the field of the message.",
    ),
    (
        "SecretNotFound",
        OF_PARTS,
        "A Secret, or a key of it, does not exist or is empty.",
        "Create the Secret with the key of the message, or name another one.",
    ),
)

_OF_TENANTS: Final = of(
    Severity.NEEDS_SOMEBODY,
    (
        "EndpointNotOffered",
        OF_TENANT,
        (
            "The cloud, or the tenant in it, does not offer the version of the sync service that"
            " `spec.transport` asks for."
        ),
        "Set `spec.transport` to a version it offers, or name another cloud.",
    ),
    (
        "CloudClosed",
        (CLOUD, *OF_TENANT),
        "The cloud was closed by Microsoft.",
        "Name the cloud that the tenant was moved to.",
    ),
    (
        "CredentialsRejected",
        OF_TENANT,
        "The login service refused the application's certificate, secret or federated token.",
        "Put a valid credential into the Secret of the message, or mend the registration.",
    ),
    (
        "RoleMissing",
        OF_TENANT,
        "The application may sign in, but has no right to sync.",
        "Grant it ADSynchronization.ReadWrite.All with admin consent.",
    ),
    (
        "TenantNotFound",
        OF_TENANT,
        "The cloud knows no tenant of this id.",
        "Create the EntraTenant anew with the right `spec.tenantId` and cloud.",
    ),
    (
        "SyncDisabledInTenant",
        OF_TENANT,
        "Directory sync is switched off in the tenant.",
        "Set onPremisesSyncEnabled of the organization to true; that may take hours.",
    ),
    (
        "ServiceAccountNotAllowed",
        OF_TENANT,
        "The ServiceAccount of `spec.application.workloadIdentity` is not marked for syncs.",
        'Give it the label `entrasync.dev/runner: "true"` if syncs may run under it.',
    ),
    (
        "TenantClaimed",
        (SYNC, RUN),
        "Another DirectorySync owns the tenant.",
        "Delete one of the two, or set `spec.mode` of one to Preview.",
    ),
    (
        "ModeNotAllowed",
        (RUN,),
        "A run in mode Apply was made for a sync in mode Preview, which owns no tenant.",
        "Set `spec.mode` of the sync to Apply, or make the run in mode Preview.",
    ),
)

_OF_DIRECTORIES: Final = of(
    Severity.NEEDS_SOMEBODY,
    (
        "BindRejected",
        OF_DIRECTORY,
        "The directory refused the account or its password.",
        (
            "Mend the Secret or the account. It is tried again after fifteen minutes at the"
            " earliest, so that the account is not locked; the annotation"
            " `entrasync.dev/run-requested-at` tries at once, once in that time."
        ),
    ),
    (
        "KerberosNotInstalled",
        OF_DIRECTORY,
        "`spec.keytabSecretRef` needs Kerberos, which is not part of the image.",
        "Use an image with the extra `kerberos`, or `spec.bindSecretRef`.",
    ),
    (
        "CertificateNotTrusted",
        OF_PARTS,
        "The certificate of a server is not trusted, or not made for its name.",
        (
            "Name the right CA in `spec.caProvider` or `spec.caBundle`, or the server as certified;"
            " where a proxy opens connections to the cloud, its CA in `extraCA` of the chart."
        ),
    ),
    (
        "BaseNotFound",
        OF_DIRECTORY,
        "The base DN or a container of the scope is not there, or the account may not read it.",
        "Correct the DN of the message, or give the account the right to read it.",
    ),
    (
        "ScopeMoved",
        OF_SYNC,
        "A container of the scope is another one than before, though its DN is the same.",
        "Look at both in the directory, and name the right one in `spec.sources`.",
    ),
    (
        "ScopeGroupNotFound",
        OF_SYNC,
        "The group of a `memberOf` is not there or cannot be read.",
        "Correct its DN, or give the account the right to read it.",
    ),
    (
        "SchemaAttributeMissing",
        OF_SYNC,
        "The directory's schema has no attribute of this name, or the account may not read it.",
        "Correct the attribute in the field of the message, or extend the schema.",
    ),
)

_OF_SYNCS: Final = of(
    Severity.NEEDS_SOMEBODY,
    (
        "Quarantined",
        (SYNC,),
        "Very many runs in a row have failed; one a day is tried until one succeeds.",
        (
            "Mend what the message names. A change of the spec, the annotation"
            " `entrasync.dev/run-requested-at` or a SyncRun tries at once."
        ),
    ),
    (
        "ClassMismatch",
        (SYNC, RUN),
        "The sync, its tenant and its directories are of different classes.",
        "Give all of them the same `spec.className`; it never changes, so create the others anew.",
    ),
    (
        "AnchorMismatch",
        OF_SYNC,
        "The fields of `spec.sourceAnchor` contradict each other.",
        "Correct the field of the message.",
    ),
    (
        "ScheduleInvalid",
        (SYNC,),
        "A cron expression, a time zone or the windows of `spec.schedule` cannot be.",
        "Correct the field of the message.",
    ),
    (
        "ExpressionInvalid",
        OF_SYNC,
        "A filter or an expression cannot be used.",
        "Correct the field of the message; `entrasync plan` tells without a cluster.",
    ),
    (
        "FlowInvalid",
        OF_SYNC,
        "An attribute flow cannot be used.",
        "Correct the flow of the message in `spec.objects`.",
    ),
    (
        "ConfigurationInvalid",
        OF_PARTS,
        "The configuration of the run cannot be read as what it should be.",
        "Correct the file or field of the message.",
    ),
    (
        "NodeLost",
        OF_SYNC,
        "The node of the run's pod does not answer, and the pod may still be writing.",
        (
            "Bring the node back. Where the machine is off for good, delete its node object or give"
            " it the taint `node.kubernetes.io/out-of-service`: the run goes on elsewhere then."
        ),
    ),
    (
        "OutOfMemory",
        OF_SYNC,
        "The pod of the run used more memory than it may.",
        (
            "Raise `spec.runner.resources.limits.memory`; the next run goes on where this one"
            " stopped."
        ),
    ),
    (
        "SpecNotUnderstood",
        (CLOUD, *OF_PARTS),
        "The resource was stored by another version, and this operator does not understand it.",
        "Upgrade the operator and the CRDs together, or correct the field of the message.",
    ),
    (
        "SnapshotTooLarge",
        OF_SYNC,
        "What the run works from does not fit into a ConfigMap.",
        (
            "Name certificates by `spec.caProvider` instead of `caBundle`, or shorten filters and"
            " flows."
        ),
    ),
    (
        "JobCannotStart",
        OF_SYNC,
        "The pod of the run does not start, or is not even made.",
        (
            "Mend what the message tells in Kubernetes' own words: image, claim, quota, node; see"
            " `docs/runs.md`."
        ),
    ),
    (
        "StateVolumeUnsuitable",
        OF_SYNC,
        "The volume with the state is full, broken, or does not keep locks.",
        (
            "Enlarge or replace the claim; see `spec.runner.storage`. Nothing is lost: the state is"
            " rebuilt where it is missing."
        ),
    ),
    (
        "DeadlineExceeded",
        OF_SYNC,
        "The run took longer than it may, or did not get any further for too long.",
        (
            "Read the log of its pod; raise `spec.runner.activeDeadlineSeconds` or"
            " `noProgressDeadline` where it only was slow. The next run goes on where this one"
            " stopped."
        ),
    ),
    (
        "ReportNotFound",
        (RUN,),
        "The state holds no plan of this run.",
        "Name a SyncRun of the last twenty that made a plan.",
    ),
    (
        "ObjectNotFound",
        (RUN,),
        "The state knows no object of this name.",
        "Name its anchor, objectGUID, DN, userPrincipalName or mail address.",
    ),
)

NEED_SOMEBODY: Final[tuple[Reason, ...]] = (
    *(replace(reason, may_arrive_late=True) for reason in _MISSING),
    *_OF_TENANTS,
    *_OF_DIRECTORIES,
    *_OF_SYNCS,
)
