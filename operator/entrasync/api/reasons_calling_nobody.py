"""Reasons that stall nothing: what is well, passes by itself, or works but for some objects."""

from __future__ import annotations

from typing import Final

from entrasync.api.reason import (
    CLOUD,
    DIRECTORY,
    OF_PARTS,
    OF_SYNC,
    RUN,
    SYNC,
    TENANT,
    Severity,
    of,
)

NOTHING: Final = "Nothing."

GOOD: Final = of(
    Severity.OK,
    (
        "Accepted",
        (CLOUD, TENANT, DIRECTORY, RUN),
        "It was checked and can be used.",
        NOTHING,
    ),
    (
        "Checking",
        OF_PARTS,
        "A check of the tenant or the directory is under way.",
        "Wait for it; a check takes seconds.",
    ),
    ("InitialSync", (SYNC,), "The first run is under way.", "Wait for it."),
    ("Synchronized", OF_SYNC, "The last run ended well.", NOTHING),
    ("Reported", (RUN,), "The report was printed.", "Read the log of the run's pod."),
    (
        "Suspended",
        (SYNC,),
        "`spec.suspend` is true: no run starts by itself.",
        "Set it to false to go on; a SyncRun made by hand runs meanwhile.",
    ),
    (
        "WindowClosed",
        (SYNC,),
        "A run is due, but `spec.schedule.windows` lets none start now.",
        "Wait for the time in the message, or start one by annotation or SyncRun.",
    ),
    (
        "ObjectsDeleted",
        (SYNC,),
        "The sync was deleted, and its last run has removed what it owned.",
        NOTHING,
    ),
    (
        "Cancelled",
        OF_SYNC,
        "Somebody asked the run to end.",
        "Nothing: the next run goes on where it stopped.",
    ),
)

WAITING: Final = of(
    Severity.WAITS,
    (
        "RunActive",
        OF_SYNC,
        "A run is under way.",
        "Wait for it: `kubectl get syncruns` shows how far it is.",
    ),
    (
        "Queued",
        (RUN,),
        "The run waits for an earlier one of the same sync.",
        "Wait for it, or end the earlier one with `spec.cancel`.",
    ),
    (
        "Throttled",
        OF_SYNC,
        "The tenant's quota of writes, or the busy service, holds the run up.",
        (
            "Nothing: it goes on by itself. Where it lasts, see `spec.writeQuotaPercent` of the"
            " EntraTenant."
        ),
    ),
    (
        "ServerUnreachable",
        OF_PARTS,
        "A domain controller, the login service or the sync service does not answer.",
        (
            "Nothing when it is back soon: it is tried again. Else look at the address in the"
            " message, DNS and the NetworkPolicy of the namespace."
        ),
    ),
    (
        "ReadFailed",
        OF_SYNC,
        "The directory broke off an answer, or gave one that cannot be read.",
        (
            "Nothing: the next run reads again. Where it repeats, look at the log of the domain"
            " controller."
        ),
    ),
    (
        "CookieRejected",
        OF_SYNC,
        "The directory no longer takes the position that changes are read from.",
        "Nothing: the next run reads the directory in full.",
    ),
    (
        "ResultLost",
        OF_PARTS,
        "The run's Job or pod is gone, and nobody has read what it did.",
        "Nothing: the next run tells it, and goes on where this one stopped.",
    ),
    (
        "RunFailed",
        OF_PARTS,
        "The run ended without a result, or on something that may pass.",
        (
            "Nothing at first: the next run goes on where this one stopped. Where it repeats,"
            " read the log of the run's pod."
        ),
    ),
)

_OBJECTS: Final = "See `status.errors` of the SyncRun for its anchor; "

DEGRADED: Final = of(
    Severity.DEGRADED,
    (
        "ObjectsLeft",
        (SYNC,),
        "The sync was deleted, and objects that it owned stay in the tenant.",
        (
            "Read in the message why. A sync of the same scope takes them over again; else delete"
            " them in the tenant."
        ),
    ),
    (
        "ExportErrors",
        OF_SYNC,
        "The service refused some changes.",
        (
            "See `status.errors` of the SyncRun for cause and remedy of each. They are tried again,"
            " less and less often."
        ),
    ),
    (
        "ObjectsUnaccounted",
        OF_SYNC,
        (
            "Owned objects were found in no source, and nothing proves that they were deleted;"
            " they are kept."
        ),
        (
            "Give the account the right to read deleted objects, or look for them by the anchors in"
            " `status.errors`."
        ),
    ),
    (
        "GroupTooLarge",
        OF_SYNC,
        (
            "A group has more members than its limit; it is left as it is, neither emptied nor"
            " deleted."
        ),
        "Divide the group, or raise `spec.objects.groups.maxMembers` if the endpoint takes more.",
    ),
    (
        "AnchorChanged",
        OF_SYNC,
        "An object gives another anchor than the one it was exported under; it is left as it is.",
        _OBJECTS + "set mS-DS-ConsistencyGuid back.",
    ),
    (
        "AnchorMissing",
        OF_SYNC,
        "An object has no value that can be its anchor; it is not exported.",
        _OBJECTS + "set the attribute that anchors come from.",
    ),
    (
        "DuplicateAnchor",
        OF_SYNC,
        "Two objects give the same anchor; neither is exported.",
        _OBJECTS + "clear mS-DS-ConsistencyGuid on one of them.",
    ),
    (
        "AmbiguousJoin",
        OF_SYNC,
        "Two objects that are both in the tenant are joined; the later one is left as it is.",
        _OBJECTS + "make them differ in what joins them, or delete one.",
    ),
    (
        "DuplicateUserPrincipalName",
        OF_SYNC,
        "Two objects in scope have the same userPrincipalName; the first one has it.",
        _OBJECTS + "give it another one.",
    ),
    (
        "DuplicateProxyAddress",
        OF_SYNC,
        "Two objects have the same address among proxyAddresses; the first one has it.",
        _OBJECTS + "take the address from one of the two.",
    ),
    (
        "DuplicateMail",
        OF_SYNC,
        "Two objects in scope have the same mail; the first one has it.",
        _OBJECTS + "give it another one.",
    ),
    (
        "IdentityDataValidationFailed",
        OF_SYNC,
        "A userPrincipalName has characters or a length the tenant refuses.",
        _OBJECTS + "correct userPrincipalName in the directory.",
    ),
    (
        "LargeObject",
        OF_SYNC,
        "An object has more certificates or addresses than the tenant takes.",
        _OBJECTS + "remove expired certificates and unused addresses.",
    ),
    (
        "NotAccepted",
        OF_SYNC,
        "A value was written twice and did not stay in the tenant; it is not written again.",
        _OBJECTS + "find who else writes it, or leave the attribute out with `omit: true`.",
    ),
    (
        "HardMatchRefused",
        OF_SYNC,
        (
            "An addition would take over a cloud account of the same anchor, which"
            " `spec.matching.hard` refuses."
        ),
        "Set `spec.matching.hard` to Approve or Allow, or delete the cloud account.",
    ),
    (
        "SoftMatchRefused",
        OF_SYNC,
        (
            "An addition would take over a cloud account of the same address or user principal"
            " name, which `spec.matching.soft` refuses."
        ),
        "Set `spec.matching.soft` to Approve or Allow, or give one of the two another address.",
    ),
)
