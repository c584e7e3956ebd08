"""Attribute flows: the lists `spec.objects.<kind>.flows` of a DirectorySync."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from pydantic import Field

from entrasync.api.choices import Apply, Merge
from entrasync.api.common import DEFAULT_IN_CODE, ApiModel, rule

ATTRIBUTE_PATTERN: Final = "^[A-Za-z][A-Za-z0-9-]*$"
PROPERTY_PATTERN: Final = "^[A-Za-z][A-Za-z0-9_]*$"
MOST_FLOWS: Final = 128

AttributeName = Annotated[str, Field(max_length=128, pattern=ATTRIBUTE_PATTERN)]
_Value = Annotated[str, Field(min_length=1, max_length=2048)]


class Flow(ApiModel):
    """One property of the cloud object, and where its value comes from."""

    validations: ClassVar[tuple[dict[str, str], ...]] = (
        rule(
            "(has(self.source) ? 1 : 0) + (has(self.constant) ? 1 : 0)"
            " + (has(self.omit) && self.omit ? 1 : 0) == 1",
            "exactly one of `source`, `constant` and `omit: true` must be specified",
        ),
        rule(
            "has(self.source) || (!has(self.merge) && !has(self.default))",
            "`merge` and `default` may only be specified together with `source`",
        ),
        rule(
            "!(has(self.omit) && self.omit) || !has(self.apply)",
            "`apply` may not be specified when `omit` is true",
            ".apply",
        ),
    )

    target: Annotated[str, Field(max_length=128, pattern=PROPERTY_PATTERN)]
    """Property of the cloud object, for example `department`."""
    source: AttributeName | None = None
    """LDAP name of the attribute that flows into it."""
    constant: _Value | None = None
    """Value that every object of this kind gets."""
    omit: Annotated[bool, Field(json_schema_extra={DEFAULT_IN_CODE: True})] = False
    """`true`: the property never flows, and what the cloud has of it stays. Default false."""
    apply: Annotated[Apply, Field(json_schema_extra={DEFAULT_IN_CODE: True})] = Apply.ALWAYS
    """`Always`, or `OnCreate`: only while the object is not in the cloud yet; later on the cloud's
    value stays. Default `Always`."""
    merge: Annotated[Merge, Field(json_schema_extra={DEFAULT_IN_CODE: True})] = Merge.UPDATE
    """Several values from several sources: `Update` takes those of the source that comes first,
    `Merge` all of them, `MergeCaseInsensitive` all that differ by more than letter case. Default
    `Update`."""
    default: _Value | None = None
    """Value where `source` has none. Default: none, the property is cleared."""


Flows = Annotated[
    list[Flow],
    Field(
        max_length=MOST_FLOWS,
        json_schema_extra={
            "x-kubernetes-list-type": "atomic",
            "x-kubernetes-validations": [
                rule(
                    "self.all(one, self.exists_one(other, other.target == one.target))",
                    "each `target` must be named by one flow only",
                )
            ],
        },
    ),
]
