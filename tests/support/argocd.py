"""Argo CD's Lua: what a health check or an action may use there, and nothing else.

Argo CD opens the base library and `table`, and hands out `os` with the clock only. Its own tests
freeze the clock at the year 1; so do these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from lupa import lua51

FROZEN: Final = "0001-01-01T00:00:00Z"
KEPT: Final = frozenset(
    [
        "assert",
        "error",
        "ipairs",
        "next",
        "pairs",
        "pcall",
        "select",
        "table",
        "tonumber",
        "tostring",
        "type",
        "unpack",
    ]
)


def run_lua(script: str, resource: Mapping[str, Any]) -> Any:
    """What a script returns for a resource, as plain Python values."""
    runtime = lua51.LuaRuntime(register_eval=False, register_builtins=False)
    given = runtime.globals()
    for name in list(given):
        if name not in KEPT:
            given[name] = None
    given["require"] = lambda name: _os(runtime, name)
    given["obj"] = runtime.table_from(cast("dict[Any, Any]", resource), recursive=True)
    return _plain(runtime.execute(script))


def _os(runtime: lua51.LuaRuntime, name: str) -> Any:
    if name != "os":
        raise ValueError(f"Argo CD has no module {name}")
    return runtime.table_from({"date": lambda _format: FROZEN})


def _plain(value: Any) -> Any:
    if lua51.lua_type(value) != "table":
        return value
    keys = list(value)
    if keys and all(isinstance(key, int) for key in keys):
        return [_plain(value[key]) for key in sorted(keys)]
    return {key: _plain(value[key]) for key in keys}
