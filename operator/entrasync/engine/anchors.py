"""SourceAnchors: the immutable ids that tie source objects to cloud objects."""

from __future__ import annotations

import base64
import uuid
from typing import Final

from entrasync.api.directory_sync import AnchorSource
from entrasync.engine.source import SourceKind, SourceObject

GUID_BYTES: Final = 16


def computed_anchor(source: SourceObject, anchor_source: AnchorSource) -> str:
    """Base64 of 16 raw bytes: mS-DS-ConsistencyGuid where present and wanted, else objectGUID.

    As in Entra Connect, contacts always use objectGUID.
    """
    preset = source.raw("mS-DS-ConsistencyGuid")
    uses_preset = (
        anchor_source is AnchorSource.CONSISTENCY_GUID
        and source.kind is not SourceKind.CONTACT
        and preset is not None
        and len(preset) == GUID_BYTES
    )
    value = preset if uses_preset and preset is not None else uuid.UUID(source.guid).bytes_le
    return base64.b64encode(value).decode()
