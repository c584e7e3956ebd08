"""Streaming codec of .NET binary XML ([MC-NBFX]) with the static dictionary of [MC-NBFS].

This is the encoding `application/soap+msbin1` of the sync service: records without a session
dictionary, starting with the first byte. `NbfxWriter` takes events as calls, `NbfxReader` comes to
one node after the other, and `read_events` hands them out: a large group needs no tree in memory.
"""

from __future__ import annotations

from entrasync.entra.infoset import CodecError, CodecLimits, Event
from entrasync.entra.nbfx_reader import NbfxReader, read_events
from entrasync.entra.nbfx_writer import NbfxWriter

__all__ = ["CodecError", "CodecLimits", "Event", "NbfxReader", "NbfxWriter", "read_events"]
