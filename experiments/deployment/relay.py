"""A relay between a node and the SuperLink that counts the traffic, outside Flower.

Without TLS it also reads the headers of HTTP requests, to count bytes by kind of request. With TLS
it only sees lengths.
"""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath

_PATH = re.compile(rb"^[A-Z]+ (\S+) HTTP/1\.1\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"
UNREAD = "all requests"


@dataclass
class Relay:
    """Traffic by kind of request, such as ``pull-messages``, and by what is counted.

    These are ``requests`` and the bytes of ``up_head``, ``up_body``, ``down_head``, ``down_body``.
    """

    port: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def total(self) -> tuple[int, int]:
        """Total bytes up and down so far."""
        up, down = (
            sum(size for (_, what), size in self.counts.items() if what.startswith(way))
            for way in ("up", "down")
        )
        return up, down


@contextmanager
def relay(
    host: str, port: int, *, reads: bool = False, latency_ms: float = 0, own: str = "127.0.0.1"
) -> Iterator[Relay]:
    """Run a relay to an address in a thread; with `reads`, it counts requests by their paths.

    It listens at its `own` address. A one-way `latency_ms` delays all bytes, and each new
    connection by a round trip; it needs ``reads=False``. Yields the relay's counts and port.
    """
    latency_s = latency_ms / 1000
    found, ready, ended = Relay(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        open_now: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            open_now.add(asyncio.current_task())  # type: ignore[arg-type]
            await asyncio.sleep(2 * latency_s)
            await _connection(found, reader, writer, (host, port), reads, latency_s)

        server = await asyncio.start_server(accept, own, 0)
        found.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await ended.wait()
            for task in open_now:
                task.cancel()
            await asyncio.gather(*open_now, return_exceptions=True)
            await asyncio.sleep(0)  # connections close in the next turn of the loop

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield found
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


async def _connection(
    counts: Relay,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    place: tuple[str, int],
    reads: bool,
    latency_s: float,
) -> None:
    try:
        far_reader, far_writer = await asyncio.open_connection(*place)
    except OSError:  # nobody listens: the node will try again
        writer.close()
        return
    kinds: asyncio.Queue[str] = asyncio.Queue()
    if reads:
        jobs = (
            _messages(counts, reader, far_writer, kinds, "up"),
            _messages(counts, far_reader, writer, kinds, "down"),
        )
    else:
        jobs = (
            _bytes(counts, reader, far_writer, "up_body", latency_s),
            _bytes(counts, far_reader, writer, "down_body", latency_s),
        )
    try:
        await asyncio.gather(*jobs)
    except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
        pass  # one side has closed, or the relay ends
    finally:
        writer.close()
        far_writer.close()


async def _bytes(
    counts: Relay,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    column: str,
    latency_s: float,
) -> None:
    """Forward bytes unread, each after the latency."""
    clock = asyncio.get_running_loop().time
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        while (due := await under_way.get())[1]:
            await asyncio.sleep(due[0] - clock())
            writer.write(due[1])
            await writer.drain()
        writer.close()

    arriving = asyncio.ensure_future(arrive())
    try:
        while data := await reader.read(1 << 16):
            counts.counts[UNREAD, column] += len(data)
            under_way.put_nowait((clock() + latency_s, data))
        under_way.put_nowait((clock(), b""))
        await arriving
    finally:
        arriving.cancel()


async def _messages(
    counts: Relay,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    kinds: asyncio.Queue[str],
    way: str,
) -> None:
    """Forward requests (up) or responses (down); a response belongs to the oldest open request."""
    while True:
        head = await reader.readuntil(_END)
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        if way == "up":
            path = _PATH.match(head)
            kind = PurePosixPath(path[1].decode()).name if path else UNREAD
            kinds.put_nowait(kind)
            counts.counts[kind, "requests"] += 1
        else:
            kind = await kinds.get()
        counts.counts[kind, f"{way}_head"] += len(head)
        counts.counts[kind, f"{way}_body"] += len(body)
        writer.write(head + body)
        await writer.drain()
