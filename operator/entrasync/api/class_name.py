"""The class of a resource: which of several operators of a cluster serves it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from entrasync.api.common import rule

ClassName = Annotated[str, Field(max_length=63, pattern=r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$")]
"""A DNS label; empty is the class of operators without one."""

CLASS_NEVER_CHANGES: Final = rule(
    "(has(self.className) ? self.className : '')"
    " == (has(oldSelf.className) ? oldSelf.className : '')",
    "`className` must not change: two operators would work on one resource; create a new one",
    ".className",
)
"""A rule of the spec, not of the field: it holds for a class that comes or goes as well."""
