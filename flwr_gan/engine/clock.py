"""A virtual clock: the time that a federation's messages and training would take.

Times are computed in virtual seconds from the measured bytes of each message, each client's link
and its training time. Nothing waits for them. The server's computations take no time, and its own
link is never the bottleneck.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Literal

from flwr_gan.core.settings import Positive, Settings, Within
from flwr_gan.engine.links import Client, table

Kind = Literal["train", "evaluate"]


@dataclass(frozen=True)
class FlowerCost:
    """The cost of Flower's own requests for a message to a client and its reply.

    The bytes were measured with flwr 1.42 on a SuperNode: all traffic on its link in a round except
    the objects of the messages and traffic that grows with time. The requests are the sequential
    ones of the SuperNode: pull a message, pull its objects, confirm; push a reply, push its
    objects.
    """

    down_bytes: int = 2_100
    up_bytes: int = 9_700
    down_requests: int = 3
    up_requests: int = 2
    waiting_s: float = 0.0  # polling delay of nodes and server, if it is counted


FLOWER = FlowerCost()


@dataclass(frozen=True)
class Traffic:
    """A message to a client and its reply: ``message_bytes`` of both, and seconds of training."""

    client: int
    down_bytes: int
    up_bytes: int
    compute_s: float = 0.0  # on this client's device


def phases(
    client: Client, traffic: Traffic, cost: FlowerCost = FLOWER
) -> tuple[float, float, float]:
    """Return the seconds in which a client receives, trains and sends, if always online.

    A message of B bytes takes ``requests * 2 * latency + 8 B / (speed * (1 - loss))``: a packet is
    sent again each time that it is lost.
    """
    trip_s = 2e-3 * client.latency_ms
    sent_s = 8e-6 / (1 - client.loss)
    down = cost.down_requests * trip_s
    down += sent_s * (traffic.down_bytes + cost.down_bytes) / client.down_mbit_s
    up = cost.up_requests * trip_s
    up += sent_s * (traffic.up_bytes + cost.up_bytes) / client.up_mbit_s
    return down, traffic.compute_s, up + cost.waiting_s


def predicted_round_s(
    clients: Sequence[Client], traffic: Iterable[Traffic], cost: FlowerCost = FLOWER
) -> float:
    """Return the seconds of a synchronous round: those of its slowest client.

    Messages are given by their bytes in Flower's transport, ``message_bytes`` of the ledger.
    """
    return max((sum(phases(clients[t.client], t, cost)) for t in traffic), default=0.0)


@dataclass(frozen=True)
class Exchange:
    """A message to a client and its reply, in virtual seconds since the run began."""

    round: int
    client: int
    kind: Kind
    begun_s: float
    received_s: float
    trained_s: float
    arrived_s: float
    compute_s: float
    used: bool = True  # False: the reply was too late for its round


@dataclass(frozen=True, kw_only=True)
class ClockConfig(Settings):
    """Rules for the virtual time of training, and for the end of a round."""

    group = "clock"

    compute: Literal["modelled", "measured"] = "modelled"
    s_per_iteration: Positive = 0.02
    deadline_s: Positive | None = None
    over_selection: Annotated[float, Within(at_least=1)] = 1.0

    @property
    def drops_replies(self) -> bool:
        """Whether replies can be too late."""
        return self.deadline_s is not None or self.over_selection > 1


@dataclass
class Clock:
    """Virtual time, and the exchanges of each client.

    A client that gets a message while it is still busy, because its last reply was too late,
    finishes that work first.
    """

    clients: Sequence[Client]
    now: float = 0.0
    timeline: list[Exchange] = field(default_factory=list)
    _free: dict[int, float] = field(default_factory=dict)  # end of each client's last exchange

    def exchange(
        self, server_round: int, kind: Kind, traffic: Traffic, *, start: float | None = None
    ) -> Exchange:
        """Return the exchange of a client with a message sent now, or at `start`."""
        client = self.clients[traffic.client]
        asked = self.now if start is None else start
        begun = client.there(max(asked, self._free.get(traffic.client, 0.0)))
        receives_s, trains_s, sends_s = phases(client, traffic)
        received = client.done(begun, receives_s)
        trained = client.done(received, trains_s)
        arrived = client.done(trained, sends_s)
        self._free[traffic.client] = arrived
        return Exchange(
            server_round, traffic.client, kind, begun, received, trained, arrived, trains_s
        )

    def close_round(
        self,
        server_round: int,
        kind: Kind,
        traffic: Iterable[Traffic],
        *,
        needed: int | None = None,
        deadline_s: float | None = None,
    ) -> set[int]:
        """Let the clients of a synchronous round answer; return those whose reply is too late.

        The round ends when all, or `needed` many, have answered, and at its deadline at the latest.
        """
        found = [self.exchange(server_round, kind, one) for one in traffic]
        arrivals = sorted(one.arrived_s for one in found)
        if not arrivals:
            return set()
        end = arrivals[-1 if needed is None else min(needed, len(arrivals)) - 1]
        if deadline_s is not None:
            end = min(end, self.now + deadline_s)
        self.timeline += [replace(one, used=one.arrived_s <= end) for one in found]
        self.now = max(self.now, end)
        return {one.client for one in found if one.arrived_s > end}

    def client_rows(self) -> list[dict[str, Any]]:
        """Return one row per client: its link, its device, and its use of time so far."""
        rows: list[dict[str, Any]] = table(self.clients)
        for row in rows:
            row |= {"exchanges": 0, "late": 0, "receiving_s": 0.0, "training_s": 0.0}
            row |= {"sending_s": 0.0}
        for one in self.timeline:
            row = rows[one.client]
            row["exchanges"] += 1
            row["late"] += not one.used
            ends = [min(t, self.now) for t in (one.begun_s, one.received_s, one.trained_s,
                                               one.arrived_s)]  # fmt: skip
            for at, phase in enumerate(("receiving_s", "training_s", "sending_s")):
                row[phase] += ends[at + 1] - ends[at]
        for row in rows:
            busy = row["receiving_s"] + row["training_s"] + row["sending_s"]
            row["idle_s"] = max(0.0, self.now - busy)
        return rows

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        free = [[client, until] for client, until in self._free.items()]
        return {"now": self.now, "free": free, "timeline": [*map(asdict, self.timeline)]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state from ``state_dict``."""
        self.now = state["now"]
        self._free = dict(state["free"])
        self.timeline = [Exchange(**one) for one in state["timeline"]]
