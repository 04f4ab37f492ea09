"""The link and the device of each client: drawn from a preset, or read from a table.

The presets are assumptions, drawn with a seed; ``docs/links.md`` lists their numbers.
"""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from flwr_gan.core.settings import not_allowed
from flwr_gan.errors import ConfigError

Spans = tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Client:
    """The link and the device of one client; the default takes no time for its messages.

    ``online`` are the spans, in seconds of virtual time, in which the client is online; they repeat
    from the end of the last one. None: always.
    """

    down_mbit_s: float = math.inf
    up_mbit_s: float = math.inf
    latency_ms: float = 0.0  # one way
    loss: float = 0.0  # share of lost packets, which are sent again
    compute_factor: float = 1.0  # of the reference machine's time
    online: Spans = ()

    def there(self, start: float) -> float:
        """Return the first time, from a given time on, at which the client is online."""
        if not self.online:
            return start
        period = self.online[-1][1]
        place = start % period
        for begin, stop in self.online:
            if place < stop:
                return start + max(0.0, begin - place)
        return start + period - place + self.online[0][0]

    def done(self, start: float, seconds: float) -> float:
        """Return the end of work of some seconds that pauses while the client is offline."""
        if not self.online:
            return start + seconds
        period = self.online[-1][1]
        a_turn = sum(stop - begin for begin, stop in self.online)
        turns, place = divmod(start, period)
        worked = sum(min(max(place - begin, 0.0), stop - begin) for begin, stop in self.online)
        more, left = divmod(worked + seconds, a_turn)
        if not left:  # exactly at the end of a period
            more, left = more - 1, a_turn
        for begin, stop in self.online:
            if left <= stop - begin:
                break
            left -= stop - begin
        return max(start, (turns + more) * period + begin + left)


LINK = ("down_mbit_s", "up_mbit_s", "latency_ms", "loss")
DEVICE = ("compute_factor", "availability")
_NEEDED = {"links": ("down_mbit_s", "up_mbit_s"), "devices": ("compute_factor",)}
_ALLOWED: dict[str, tuple[str, Callable[[float], bool]]] = {
    "down_mbit_s": ("a number above 0", lambda value: value > 0),
    "up_mbit_s": ("a number above 0", lambda value: value > 0),
    "latency_ms": ("a number of at least 0", lambda value: 0 <= value < math.inf),
    "loss": ("a number of at least 0 and below 1", lambda value: 0 <= value < 1),
    "compute_factor": ("a number above 0", lambda value: 0 < value < math.inf),
}


def population(
    links: str | None,
    devices: str | None,
    num_clients: int,
    *,
    rngs: tuple[np.random.Generator, np.random.Generator],
) -> list[Client]:
    """Return the clients for the settings ``links`` and ``devices``, by partition.

    Each is None, the name of a preset or of a CSV file. `rngs` draw links and devices. Raises
    ``ConfigError``.
    """
    of_links = _described("links", links, LINKS, num_clients, rngs[0])
    of_devices = _described("devices", devices, DEVICES, num_clients, rngs[1])
    return [
        replace(link, compute_factor=device.compute_factor, online=device.online)
        for link, device in zip(of_links, of_devices, strict=True)
    ]


Draw = Callable[[int, np.random.Generator], list[Client]]


def check_name(key: str, name: str | None) -> None:
    """Raise ``ConfigError`` unless this is None, a preset, or the name of a CSV file."""
    presets = LINKS if key == "links" else DEVICES
    if name is not None and name not in presets and not name.endswith(".csv"):
        allowed = f"null, {', '.join(presets)}, or the name of a .csv file"
        raise not_allowed(key, name, allowed, presets)


def _described(
    key: str,
    name: str | None,
    presets: Mapping[str, Draw],
    num_clients: int,
    rng: np.random.Generator,
) -> list[Client]:
    check_name(key, name)
    if name is None:
        return [Client()] * num_clients
    if name in presets:
        return presets[name](num_clients, rng)
    rows = _rows(key, Path(name).expanduser())
    missing = [client for client in range(num_clients) if client not in rows]
    if missing:
        raise ConfigError(
            f"{key}={name} has no row for client {missing[0]}: give one for each of the "
            f"{num_clients} clients, counted from 0"
        )
    return [rows[client] for client in range(num_clients)]


def _rows(key: str, path: Path) -> dict[int, Client]:
    """Return the clients of a CSV file by their numbers; columns of other names are ignored."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            columns, rows = list(table.fieldnames or ()), list(table)
    except (OSError, ValueError, csv.Error) as error:
        raise ConfigError(f"cannot read {key}={path}: {error}") from error
    absent = [name for name in ("client", *_NEEDED[key]) if name not in columns]
    if absent:
        raise ConfigError(f"{key}={path} lacks the column {absent[0]}; it has {', '.join(columns)}")
    found: dict[int, Client] = {}
    for line, row in enumerate(rows, start=2):
        place = f"{key}={path}, line {line}: "
        client = row["client"] or ""
        if not client.isdecimal() or int(client) in found:
            raise not_allowed(f"{place}client", client, "each number from 0 on once")
        values = {
            name: _number(place + name, row[name] or "", *_ALLOWED[name])
            for name in (LINK if key == "links" else DEVICE)
            if name in columns and name in _ALLOWED
        }
        online = spans(place + "availability", row.get("availability") or "")
        own = Client(**values, online=online if key == "devices" else ())
        found[int(client)] = own
    return found


def _number(key: str, text: str, allowed: str, holds: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not holds(value):
        raise not_allowed(key, text, allowed)
    return value


def spans(key: str, text: str) -> Spans:
    """Read a trace of availability, ``0-600;900-1800``: seconds in which a client is online.

    Raises ``ConfigError`` unless the spans follow each other.
    """
    parts = [part.split("-") for part in text.split(";") if part.strip()]
    try:
        ends = [float(end) for part in parts for end in part]
    except ValueError:
        ends = [math.nan]
    rising = all(a < b < math.inf for a, b in pairwise([-1.0, *ends])) and min(ends, default=0) >= 0
    if not rising or any(len(part) != 2 for part in parts):
        raise not_allowed(key, text, "rising spans of seconds such as 0-600;900-1800, or nothing")
    return tuple(zip(ends[::2], ends[1::2], strict=True))


def _between(low: float, high: float, count: int, rng: np.random.Generator) -> list[float]:
    """Draw numbers with uniformly distributed logarithms between two bounds."""
    return [float(x) for x in np.exp(rng.uniform(math.log(low), math.log(high), count))]


def _tenfold(count: int, rng: np.random.Generator) -> list[float]:
    """Return numbers from 1 to 10 in equal ratios, in random order."""
    return [float(x) for x in rng.permutation(np.geomspace(1, 10, count))]


def _drawn(down: tuple[float, float], up: tuple[float, float], latency: tuple[float, float],
           loss: float) -> Draw:  # fmt: skip
    def draw(count: int, rng: np.random.Generator) -> list[Client]:
        columns = [_between(*bounds, count, rng) for bounds in (down, up, latency)]
        lost = rng.uniform(0, loss, count)
        return [
            Client(down_mbit_s=d, up_mbit_s=u, latency_ms=ms, loss=float(share))
            for d, u, ms, share in zip(*columns, lost, strict=True)
        ]

    return draw


def _mixed_links(count: int, rng: np.random.Generator) -> list[Client]:
    return [
        Client(down_mbit_s=5 * speed, up_mbit_s=speed, latency_ms=100 / speed)
        for speed in _tenfold(count, rng)
    ]


def _phones(count: int, rng: np.random.Generator) -> list[Client]:
    """Draw phones; each is offline once per period, for up to 40 % of it."""
    factors, found = _between(2, 20, count, rng), []
    for factor in factors:
        period, away, place = rng.uniform(300, 900), rng.uniform(0, 0.4), rng.uniform(0.05, 0.95)
        leaves = (1 - away) * place * period
        ends = (leaves, leaves + away * period, period)
        left, back, over = (round(float(end), 1) for end in ends)
        online = ((0.0, left), (back, over)) if left < back < over else ((0.0, over),)
        found.append(Client(compute_factor=factor, online=online))
    return found


LINKS: Mapping[str, Draw] = {
    "lan": lambda count, rng: [Client(down_mbit_s=1000, up_mbit_s=1000, latency_ms=0.5)] * count,
    "broadband": _drawn((50, 300), (10, 50), (10, 25), 0.0),
    "mobile": _drawn((10, 100), (2, 20), (20, 60), 0.02),
    "mixed": _mixed_links,
}
DEVICES: Mapping[str, Draw] = {
    "uniform": lambda count, rng: [Client()] * count,
    "phones": _phones,
    "mixed": lambda count, rng: [Client(compute_factor=f) for f in _tenfold(count, rng)],
}


def table(clients: Sequence[Client]) -> list[dict[str, int | float | str]]:
    """Return clients as rows of a file for ``links=`` and ``devices=``."""
    return [
        {"client": at}
        | {name: getattr(client, name) for name in (*LINK, "compute_factor")}
        | {"availability": ";".join(f"{begin!r}-{stop!r}" for begin, stop in client.online)}
        for at, client in enumerate(clients)
    ]
