"""Passes connections from the host's loopback into the node's network namespace.

`python -m dev.cluster.forwarder PORT NAMESPACE HOST:PORT`: listens on 127.0.0.1, then enters the
namespace, where each connection is made. A listening socket stays in the namespace it was opened
in, so one process does both.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys

CLONE_NEWNET = 0x40000000
CHUNK = 1 << 16


async def serve(listener: socket.socket, host: str, port: int) -> None:
    """Passes on every connection until the process is ended."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    server = await asyncio.start_server(accept, sock=listener)
    async with server:
        await server.serve_forever()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


def enter(namespace: str) -> None:
    """Moves this process into a network namespace."""
    import ctypes  # noqa: PLC0415  - os.setns comes with Python 3.12 only

    libc = ctypes.CDLL(None, use_errno=True)
    with open(namespace) as file:  # noqa: PTH123  - the descriptor is what is needed
        if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")


def main() -> None:
    """Listens first, then enters the namespace."""
    port, namespace, target = sys.argv[1:4]
    host, _, far_port = target.rpartition(":")
    listener = socket.create_server(("127.0.0.1", int(port)))
    enter(namespace)
    os.chdir("/")
    asyncio.run(serve(listener, host, int(far_port)))


if __name__ == "__main__":
    main()
