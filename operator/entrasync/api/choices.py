"""Choices that a DirectorySync offers, shared with what carries them out."""

from __future__ import annotations

from enum import StrEnum


class AnchorSource(StrEnum):
    """Where the SourceAnchor comes from."""

    CONSISTENCY_GUID = "ConsistencyGuid"
    OBJECT_GUID = "ObjectGuid"
    ATTRIBUTE = "Attribute"


class JoinBy(StrEnum):
    """What tells that users of several sources are the same person, beside an equal anchor."""

    NONE = "None"
    MAIL = "Mail"
    OBJECT_SID = "ObjectSid"


class OnRemoval(StrEnum):
    """What becomes of a cloud object whose source object is deleted or leaves the scope."""

    DELETE = "Delete"
    DISABLE = "Disable"
    KEEP = "Keep"


class Apply(StrEnum):
    """When a flow is applied."""

    ALWAYS = "Always"
    ON_CREATE = "OnCreate"


class Merge(StrEnum):
    """How values of several sources become one."""

    UPDATE = "Update"
    MERGE = "Merge"
    MERGE_CASE_INSENSITIVE = "MergeCaseInsensitive"


class OnBlocked(StrEnum):
    """What a brake stops."""

    STOP_ALL = "StopAll"
    HOLD_BRAKED = "HoldBraked"


class Takeover(StrEnum):
    """Whether an addition may take over an object that is in the cloud already."""

    REFUSE = "Refuse"
    APPROVE = "Approve"
    ALLOW = "Allow"


class OrphanPolicy(StrEnum):
    """What becomes of synced cloud objects that this sync does not own."""

    REPORT = "Report"
    DELETE = "Delete"


class DeletionPolicy(StrEnum):
    """What becomes of what a sync owns in the tenant when the sync is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class TenantTakeover(StrEnum):
    """Whether a tenant may be synced that another engine synced until now."""

    REFUSE = "Refuse"
    FROM_ENTRA_CONNECT = "FromEntraConnect"


class DriftPolicy(StrEnum):
    """What becomes of exported values that somebody else changed in the tenant."""

    REPAIR = "Repair"
    REPORT = "Report"
