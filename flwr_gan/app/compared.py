"""Lossless codecs measured on the messages of one run: ``also_codecs`` of its config.

A lossless codec does not change the training, so one training is enough for all of them. Each
message was coded with each codec when it was sent (`CodecComparison`), and each codec gets the
files of a separate run, in ``output_dir/also/<codec>``. All bytes in them are measured. Seconds of
training are those of the run that trained, which the summary names.
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from flwr_gan.app.summary import measured
from flwr_gan.flower import CodecComparison, CodedFitRes, CompressedStrategy
from flwr_gan.wire import decode_payload, encode_payload
from flwr_gan.wire.ledger import Ledger

if TYPE_CHECKING:
    from flwr_gan.app.run import Run

log = getLogger(__name__)

BYTES = ("up_bytes", "down_bytes", "dense_up_bytes", "dense_down_bytes")


def codec_folder(folder: Path, codec: str) -> Path:
    """Return the folder for the results of another codec of a run in `folder`."""
    return folder / "also" / codec.replace(":", ".")


def write_compared(run: "Run", weights: list[NDArray[Any]], found: Any) -> None:
    """Write the result folders of all codecs that a finished run was compared with.

    `found` is the result of the run's scorer, whose samples are the same for all codecs.
    """
    for other in _compared(run):
        other.open()
        other.write_progress(weights)
        other.save_models(weights)
        summary = other.write_results(found)
        up, down = (summary["totals"][f"{direction}_bytes"] for direction in ("up", "down"))
        log.info("%s: %s bytes up, %s down; %s", other.config.codec, up, down, other.folder)


def _compared(run: "Run") -> Iterator["Run"]:
    for codec, ledger in run.strategy.comparison.ledgers.items():
        folder = str(codec_folder(run.folder, codec))
        config = run.config.changed(codec=codec, also_codecs=(), output_dir=folder, resume=None)
        other = replace(
            run,
            federation=replace(run.federation, config=config),
            strategy=_strategy(run.strategy, codec, ledger),
            earlier_s=run.seconds,
            trained_by=str(run.folder),
            clock=None,
        )
        other.spending = run.spending
        other.rounds = []
        for row in run.rounds:
            found = measured(other.strategy, int(row["round"]))
            other.rounds.append(row | {key: found[key] for key in BYTES})
        if run.clock is not None:
            ends = run.clock.replayed(run.federation, ledger, len(run.rounds))
            for row, virtual_s in zip(other.rounds, ends, strict=True):
                row["virtual_s"] = virtual_s
        other.scorer = run.scorer
        yield other


def _strategy(strategy: CompressedStrategy, codec: str, ledger: Ledger) -> CompressedStrategy:
    """Return the strategy with the ledger of another codec; payloads that it keeps are recoded."""
    other = copy(strategy)
    other.exchange = copy(strategy.exchange)
    other.exchange.settings = replace(strategy.exchange.settings, codec=codec)
    other.exchange.books = copy(strategy.exchange.books)
    other.exchange.books.ledger = ledger
    other.comparison = CodecComparison([], beside=other.exchange.settings)
    other.latest = [_recoded(upload, codec) for upload in strategy.latest]
    payloads: list[bytes] | None = getattr(strategy.inner, "payloads", None)
    if payloads is not None:
        template = strategy.inner.reply_rules().template  # type: ignore[attr-defined]
        other.inner = copy(strategy.inner)
        other.inner.payloads = [  # type: ignore[attr-defined]
            encode_payload(decode_payload(payload, template=template), codec=codec)
            for payload in payloads
        ]
    return other


def _recoded(upload: CodedFitRes, codec: str) -> CodedFitRes:
    """Return an upload coded with another codec and without base."""
    payload = encode_payload(upload.arrays(), codec=codec)
    coded = replace(upload.coded, payload=payload, base=None)
    return CodedFitRes(upload, coded, upload.label)
