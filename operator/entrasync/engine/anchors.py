"""SourceAnchors: the immutable ids that tie source objects to cloud objects."""

from __future__ import annotations

import binascii
from typing import Final

from entrasync.api.choices import AnchorSource
from entrasync.engine.source import SourceKind, SourceObject

GUID_BYTES: Final = 16
CONSISTENCY_GUID: Final = "mS-DS-ConsistencyGuid"
LONGEST: Final = 60
"""Anchors must be shorter; what is no letter and no digit counts three."""
_FORBIDDEN: Final = frozenset("@_\\!#$%&*+/=?^`{}|~<>()';:,[]\"")


def computed_anchor(
    source: SourceObject, anchor_source: AnchorSource, attribute: str | None = None
) -> str | None:
    """The anchor that an object's own attributes give; `None` when they give none.

    Base64 of 16 raw bytes: mS-DS-ConsistencyGuid where present and wanted, else objectGUID. As in
    Entra Connect, contacts always use objectGUID, and an attribute of one's own counts for users:
    hardly any that names people is there for groups.

    Args:
        source: the object.
        anchor_source: where anchors come from.
        attribute: its name, for `Attribute`.
    """
    if anchor_source is AnchorSource.ATTRIBUTE and source.kind is SourceKind.USER:
        return _of_value(source.raw(attribute or ""))
    if anchor_source is not AnchorSource.OBJECT_GUID and source.kind is not SourceKind.CONTACT:
        preset = source.raw(CONSISTENCY_GUID)
        if preset is not None and len(preset) == GUID_BYTES:
            return _encoded(preset)
    return anchor_of_guid(source.guid_bytes)


def anchor_of_guid(raw: bytes) -> str:
    """The anchor of an objectGUID, given as the state keeps it.

    Directories write its first three parts turned round.
    """
    return _encoded(raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:])


def _encoded(value: bytes) -> str:
    return binascii.b2a_base64(value, newline=False).decode()


def _of_value(value: bytes | None) -> str | None:
    """Strings as they are, anything else as base64."""
    if not value:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = _encoded(value)
        return text if _length(text) < LONGEST else None
    if not text.isprintable() or not _FORBIDDEN.isdisjoint(text) or not text.strip():
        return None
    return text if _length(text) < LONGEST else None


def _length(text: str) -> int:
    return sum(1 if character.isalnum() else 3 for character in text)
