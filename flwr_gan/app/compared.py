"""Twins of a run: the same training with other lossless codecs on the wire.

What a lossless codec gives does not change what is trained, so one training stands for many runs:
each message was coded with each codec when it was sent (`CodecComparison`), and each twin
gets the files of a run of its own, in ``output_dir/also/<codec>``. All bytes in them are measured.
Seconds of training are those of the run that trained; it is named in the summary.
"""

from collections.abc import Callable, Iterator
from copy import copy, deepcopy
from dataclasses import replace
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from flwr_gan.app.config import RunConfig
from flwr_gan.app.summary import measured
from flwr_gan.flower import CodecComparison, CodedFitRes, CompressedStrategy
from flwr_gan.wire import decode_payload, encode_payload
from flwr_gan.wire.ledger import Ledger

if TYPE_CHECKING:
    from flwr_gan.app.run import Run

log = getLogger(__name__)

BYTES = ("up_bytes", "down_bytes", "dense_up_bytes", "dense_down_bytes")


def twin_folder(folder: Path, codec: str) -> Path:
    """Return where a run in `folder` puts the results of another codec."""
    return folder / "also" / codec.replace(":", ".")


def write_twins(run: "Run", weights: list[NDArray[Any]]) -> None:
    """Write the result folders of all codecs that a finished run was compared with."""
    for twin in _twins(run):
        twin.open()
        twin.write_progress(weights)
        twin.save_generators(weights)
        summary = twin.write_results(weights)
        up, down = (summary["totals"][f"{direction}_bytes"] for direction in ("up", "down"))
        log.info("%s: %s bytes up, %s down; %s", twin.config.codec, up, down, twin.folder)


def joined_ledger(strategy: CompressedStrategy) -> Ledger:
    """Return the rows of a run and its twins as one ledger; their codecs tell them apart."""
    ledgers = [strategy.ledger, *strategy.comparison.ledgers.values()]
    return Ledger([row for ledger in ledgers for row in ledger.rows])


def split_ledger(joined: Ledger, strategy: CompressedStrategy) -> None:
    """Give the rows of ``joined_ledger`` back to the ledgers of a strategy."""
    others = strategy.comparison.ledgers
    strategy.exchange.books.ledger = _rows_of(joined, lambda codec: codec not in others)
    for other, ledger in others.items():
        ledger.rows[:] = _rows_of(joined, other.__eq__).rows


def _rows_of(joined: Ledger, wanted: Callable[[str], bool]) -> Ledger:
    return Ledger([row for row in joined.rows if wanted(row.codec.split(" > ")[0])])


def _twins(run: "Run") -> Iterator["Run"]:
    for codec, ledger in run.strategy.comparison.ledgers.items():
        config = _config(run.config, codec)
        twin = replace(
            run,
            federation=replace(run.federation, config=config),
            strategy=_strategy(run.strategy, codec, ledger),
            earlier_s=run.seconds,
            trained_by=str(run.folder),
        )
        twin.rounds = [row | _bytes(twin, int(row["round"])) for row in run.rounds]
        if run.scorer.judges:
            twin.scorer.judge = run.scorer.judge
        yield twin


def _bytes(twin: "Run", server_round: int) -> dict[str, Any]:
    row = measured(twin.strategy, server_round)
    return {key: row[key] for key in BYTES}


def _config(config: RunConfig, codec: str) -> RunConfig:
    """Return the config that a run with this codec alone would have."""
    folder = str(twin_folder(config.folder, codec))
    resolved = deepcopy(config.resolved)
    own = {"codec": codec, "also_codecs": (), "output_dir": folder, "resume": None}
    for key, value in own.items():
        resolved[key] = list(value) if isinstance(value, tuple) else value
    return replace(config, resolved=resolved, **own)  # type: ignore[arg-type]


def _strategy(strategy: CompressedStrategy, codec: str, ledger: Ledger) -> CompressedStrategy:
    """Return the strategy with the books of another codec; payloads that it keeps are recoded."""
    twin = copy(strategy)
    twin.exchange = copy(strategy.exchange)
    twin.exchange.settings = replace(strategy.exchange.settings, codec=codec)
    twin.exchange.books = copy(strategy.exchange.books)
    twin.exchange.books.ledger = ledger
    twin.comparison = CodecComparison([], beside=twin.exchange.settings)
    twin.latest = [_recoded(upload, codec) for upload in strategy.latest]
    payloads: list[bytes] | None = getattr(strategy.inner, "payloads", None)
    if payloads is not None:
        template = strategy.inner.reply_rules().template  # type: ignore[attr-defined]
        twin.inner = copy(strategy.inner)
        twin.inner.payloads = [  # type: ignore[attr-defined]
            encode_payload(decode_payload(payload, template=template), codec=codec)
            for payload in payloads
        ]
    return twin


def _recoded(upload: CodedFitRes, codec: str) -> CodedFitRes:
    """Return an upload as it would have travelled with another codec and no base."""
    payload = encode_payload(upload.arrays(), codec=codec)
    return upload.recoded(replace(upload.coded, payload=payload, base=None))
