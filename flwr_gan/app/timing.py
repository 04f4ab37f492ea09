"""The virtual clock of a run: times of its rounds, from the ledger and the clients' links."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from flwr_gan.app.federation import Federation
from flwr_gan.engine.clock import Clock, Kind, Traffic, phases
from flwr_gan.engine.inline_grid import InlineGrid
from flwr_gan.engine.links import population
from flwr_gan.errors import ConfigError
from flwr_gan.flower import CodedFitRes
from flwr_gan.seeding import numpy_rng
from flwr_gan.wire.ledger import Ledger, MessageRow

TRAINED = ("train", "unchanged", "late")


class RunClock:
    """A clock that the messages of each round advance.

    ``trains_s`` are the seconds of each client's training on the reference machine, if not
    measured.
    """

    def __init__(self, federation: Federation, inner: Any) -> None:
        self.config = config = federation.config
        rngs = numpy_rng(config.seed, "links"), numpy_rng(config.seed, "devices")
        num_clients = config.federation.num_clients
        self.clock = Clock(population(config.links, config.devices, num_clients, rngs=rngs))
        ticket, step_s = hasattr(inner, "sample"), self.config.clock.s_per_iteration
        clients = range(len(self.clock.clients))
        self.trains_s = [step_s * federation.iterations(ticket=ticket, client=c) for c in clients]
        self.late: set[int] = set()
        self._measured: Mapping[int, float] = {}
        self._replayed: dict[tuple[int, int], float] = {}

    def on(self, grid: object) -> "RunClock | None":
        """Return the clock of a run on a grid; None if none is set.

        Raises ``ConfigError`` when seconds must be measured and the grid does not measure them.
        """
        here = isinstance(grid, InlineGrid)
        if self.config.clock.compute == "measured":
            if not isinstance(grid, InlineGrid):
                raise ConfigError(
                    "clock.compute=measured needs clients on this machine: give --backend inline "
                    "or processes, or clock.compute=modelled"
                )
            self._measured = grid.compute_s
        return self if here or self.config.has_clock else None

    def compute_s(self, server_round: int, client: int) -> float:
        """Return the seconds that a client trains in a round on its device."""
        if (server_round, client) in self._replayed:
            return self._replayed[server_round, client]
        on_reference = self._measured.get(client, self.trains_s[client])
        return on_reference * self.clock.clients[client].compute_factor

    @property
    def up_mbit_s(self) -> dict[int | str, float]:
        """The speed of each client's link to the server."""
        return {at: client.up_mbit_s for at, client in enumerate(self.clock.clients)}

    def least_s(self, client: object, down_bytes: int) -> float:
        """Return a lower bound of a client's time to answer; 0 if the client is unknown."""
        if not isinstance(client, int) or not 0 <= client < len(self.clock.clients):
            return 0.0
        measured = self.config.clock.compute == "measured"
        trains_s = 0.0 if measured else self.compute_s(0, client)
        return sum(phases(self.clock.clients[client], Traffic(client, down_bytes, 0, trains_s)))

    def arrival_s(
        self, server_round: int, client: object, start_s: float, down_bytes: int, up_bytes: int
    ) -> float:
        """Return the arrival time of a client's reply, given the time of the message to it."""
        if not isinstance(client, int) or not 0 <= client < len(self.clock.clients):
            return start_s  # a client that has never answered is unknown
        traffic = Traffic(client, down_bytes, up_bytes, self.compute_s(server_round, client))
        exchange = self.clock.exchange(server_round, "train", traffic, start=start_s)
        self.clock.timeline.append(exchange)
        return exchange.arrived_s

    def fitted(self, server_round: int, results: list[Any], ledger: Ledger) -> list[Any]:
        """End the training of a round; return the results whose replies came in time.

        The others are ``late`` in the ledger.
        """
        rows = [row for row in ledger.rows if row.round == server_round]
        settings, config = self.config.clock, self.config
        needed = config.clients_per_round if settings.over_selection > 1 else None
        self.late = self.clock.close_round(
            server_round,
            "train",
            self._traffic(server_round, rows, "train"),
            needed=needed,
            deadline_s=settings.deadline_s,
        )
        for row in rows:
            if row.direction == "up" and row.client in self.late:
                row.kind = "late"
        return [
            (client, result)
            for client, result in results
            if not isinstance(result, CodedFitRes) or result.label not in self.late
        ]

    def evaluated(self, server_round: int, ledger: Ledger) -> None:
        """End the evaluation of a round."""
        rows = [row for row in ledger.rows if row.round == server_round]
        traffic = self._traffic(server_round, rows, "evaluate")
        self.clock.close_round(server_round, "evaluate", traffic)

    def row(self) -> dict[str, float]:
        """Return the times in a finished round's row."""
        late = {"late": len(self.late)} if self.config.clock.drops_replies else {}
        return {"virtual_s": self.clock.now, **late}

    def tables(self, state: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
        """Return the tables of an earlier state by file name."""
        clock = Clock(self.clock.clients)
        clock.load_state_dict(state)
        return {
            "clients.csv": pd.DataFrame(clock.client_rows()),
            "timeline.csv": pd.DataFrame([*map(asdict, clock.timeline)]),
        }

    def replayed(self, federation: Federation, ledger: Ledger, rounds: int) -> list[float]:
        """Return the virtual time after each round for the messages of another ledger."""
        other = RunClock(federation, None)
        other._replayed = {
            (one.round, one.client): one.compute_s
            for one in self.clock.timeline
            if one.kind == "train"
        }
        ends = []
        for server_round in range(1, rounds + 1):
            other.fitted(server_round, [], ledger)
            other.evaluated(server_round, ledger)
            ends.append(other.clock.now)
        return ends

    def _traffic(self, server_round: int, rows: list[MessageRow], kind: Kind) -> list[Traffic]:
        """Return the messages of each client that has answered."""
        kinds = TRAINED if kind == "train" else (kind,)
        size: dict[tuple[str, int], int] = {}
        for row in rows:
            if row.kind in kinds and isinstance(row.client, int):
                size[row.direction, row.client] = row.message_bytes
        return [
            Traffic(
                client,
                size.get(("down", client), 0),
                sent,
                self.compute_s(server_round, client) if kind == "train" else 0.0,
            )
            for (direction, client), sent in sorted(size.items())
            if direction == "up" and 0 <= client < len(self.clock.clients)
        ]
