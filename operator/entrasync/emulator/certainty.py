"""How much is known of what the emulator does: what is documented, seen, inferred, guessed.

Each guess stands in one constant or in one function, so that a live answer corrects it there.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """Something nobody outside of Microsoft knows, and where the emulator keeps it.

    Attributes:
        what: what is guessed.
        module: module below `entrasync` that holds it.
        name: the constant, or the function or `Class.method` that acts by it.
    """

    what: str
    module: str
    name: str

    def value(self) -> Any:
        """What the name stands for now.

        Raises:
            AttributeError: there is no such name any more.
        """
        found: Any = import_module(f"entrasync.{self.module}")
        for part in self.name.split("."):
            found = getattr(found, part)
        return found


EVIDENCE: Final[tuple[tuple[str, str], ...]] = (
    (
        "documented",
        (
            "codes of objects that are refused (guesses below apart); hard and soft match, the"
            " rules of 2026 among them; resiliency, its placeholders, the hourly retry; calculated"
            " names; soft deletion; 7,000 writes in 5 minutes; members a group may have; audience,"
            " role and flow of the login; error codes of the login; fault 81; addresses,"
            " properties and permissions of Graph"
        ),
    ),
    (
        "seen",
        (
            "names, order and types of all members of requests; prefixes of answers; operations of"
            " V1 and V2; redirection faults; members of GetCompanyConfiguration, bits of its"
            " features; Capabilities; CloudAnchor, SourceAnchor, ResultCode and"
            " ResultErrorDescription of a result; the words of missing rights and of sync that is"
            " switched off"
        ),
    ),
    (
        "inferred",
        (
            "alphabetical order of members in answers; Action and RelatesTo of answers; letter"
            " case of attribute names does not matter; nil clears, an absent name keeps; Add is"
            " Set; deleted objects in a read-back; what the link limit counts; ActionNotSupported"
            " where an operation does not exist; codes and sentences of Graph's errors; letter"
            " case of names does not matter in its filters"
        ),
    ),
)
"""Kinds of evidence, and what rests on each."""

_CONTRACTS: Final = "entra.contracts"
_REFUSALS: Final = "emulator.refusals"
_STORE: Final = "emulator.store"

GUESSES: Final[tuple[Guess, ...]] = (
    Guess(what="element of an object's error code", module=_CONTRACTS, name="RESULT_ERROR_CODE"),
    Guess(what="element of an object's error details", module=_CONTRACTS, name="ERROR_DETAILS"),
    Guess(what="element of the read-back's cookie", module=_CONTRACTS, name="OUTPUT_COOKIE"),
    Guess(what="element that says there is more to read", module=_CONTRACTS, name="MORE_TO_READ"),
    Guess(what="element of a fault's number", module=_CONTRACTS, name="FAULT_CODE"),
    Guess(what="element of a fault's tracking id", module=_CONTRACTS, name="FAULT_TRACKING_ID"),
    Guess(what="element of a fault's server", module=_CONTRACTS, name="FAULT_SERVER_NAME"),
    Guess(what="a cookie that is not taken", module=_REFUSALS, name="COOKIE_TEXT"),
    Guess(what="a build that is too old", module=_REFUSALS, name="BUILD_TOO_OLD_TEXT"),
    Guess(what="a request with too many links", module=_REFUSALS, name="TOO_MANY_LINKS_TEXT"),
    Guess(what="a request with too many objects", module=_REFUSALS, name="TOO_MANY_OBJECTS_TEXT"),
    Guess(what="code of a group over its limit", module=_STORE, name="CODE_GROUP_TOO_LARGE"),
    Guess(what="code of a new object without anchor", module=_STORE, name="CODE_MISSING_ANCHOR"),
    Guess(
        what="code of a member or manager nobody knows",
        module="emulator.links",
        name="CODE_UNKNOWN_REFERENCE",
    ),
    Guess(
        what="code of members of what is no group, and of one added and removed at once",
        module="emulator.links",
        name="CODE_INVALID_LINKS",
    ),
    Guess(
        what="code of a value that is too long (that it is this one of the two documented)",
        module="emulator.limits",
        name="CODE_LONG",
    ),
    Guess(
        what="code of an export to what was converted to cloud-managed",
        module="emulator.matching",
        name="CODE_CLOUD_MANAGED",
    ),
    Guess(
        what="attribute that ties a user to one directory object",
        module="emulator.objects",
        name="KEY_OBJECT_IDENTIFIER",
    ),
    Guess(
        what="mark of what was converted to cloud-managed, in a read-back",
        module="emulator.objects",
        name="KEY_BLOCK_ON_PREMISES_SYNC",
    ),
    Guess(
        what="an empty list clears, as nil does",
        module="emulator.objects",
        name="Attributes.merged",
    ),
    Guess(
        what="deleting what is deleted already succeeds", module=_STORE, name="TenantStore.apply"
    ),
    Guess(
        what="removing a member that is none succeeds", module="emulator.links", name="plan_links"
    ),
    Guess(
        what="members in a read-back: a list of SourceAnchors over V1 and V2; what a cookie holds",
        module="emulator.readback",
        name="read_page",
    ),
)
"""Everything guessed, and where a live answer would correct it."""
