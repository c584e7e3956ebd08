"""Streaming codec of .NET binary XML ([MC-NBFX]) with the static dictionary of [MC-NBFS].

This is the encoding `application/soap+msbin1` of the sync service: records without a session
dictionary, starting with the first byte. `NbfxWriter` takes events as calls, `read_events` hands
them out, so that a large group needs no tree in memory.
"""

from __future__ import annotations

from entrasync.entra.infoset import CodecError, CodecLimits, Event
from entrasync.entra.nbfx_reader import read_events
from entrasync.entra.nbfx_writer import NbfxWriter

__all__ = ["CodecError", "CodecLimits", "Event", "NbfxWriter", "read_events"]
