"""Comparison of codecs on one run: a listener that also codes every message with others."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from flwr_gan.errors import CodecError
from flwr_gan.flower.bookkeeping import count
from flwr_gan.flower.notes import NOTE, keep_word
from flwr_gan.flower.packing import packed
from flwr_gan.flower.protocol import CodedMessage
from flwr_gan.flower.records import copy_content, payload_of, payload_record
from flwr_gan.flower.reply import counts_of
from flwr_gan.flower.settings import WireSettings
from flwr_gan.flower.transport import message_bytes
from flwr_gan.wire import Template, decode_payload, describe_payload, encode_payload
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.ledger import Ledger, MessageRow


class CodecComparison:
    """Measures the size that every message would have with other lossless codecs.

    Parameters
    ----------
    codecs : sequence of str
        Codec specs. Their payloads are entered into ledgers and discarded.
    beside : WireSettings
        Settings of the run.

    Raises
    ------
    CodecError
        When a codec is unknown or not installed, or is lossy: its loss would change the training.
    """

    def __init__(self, codecs: Sequence[str], *, beside: WireSettings) -> None:
        for spec in codecs:
            if not all(get_codec(one).lossless for one in (spec, beside.up, beside.down)):
                raise CodecError(
                    f"also_codecs={spec} beside codec={beside.codec}: only lossless codecs can be "
                    "compared on one training; run the lossy one by itself"
                )
        self._memory = beside.memory
        self._ledgers = {spec: Ledger() for spec in codecs}
        self._pairs: list[tuple[MessageRow, MessageRow]] = []

    @property
    def ledgers(self) -> dict[str, Ledger]:
        """The ledger of each codec."""
        for own, row in self._pairs:  # a node's label and its reply's kind are learnt later
            row.client, row.kind = own.client, own.kind
        return self._ledgers

    def sent(self, coded: CodedMessage) -> None:
        """Code a broadcast with each codec."""
        for spec in self._ledgers:
            row, _, seconds = self._entered(coded, spec)
            row.encode_s = seconds if coded.encoded_now else 0.0

    def received(self, coded: CodedMessage) -> None:
        """Code a reply with each codec, and decode it."""
        for spec in self._ledgers:
            row, payloads, seconds = self._entered(coded, spec)
            row.encode_s = seconds
            started = time.perf_counter()
            for name, payload in payloads.items():
                arrays, base = coded.parts[name]
                decode_payload(payload, template=Template.of(arrays), base=base, max_bytes=None)
            row.decode_s = time.perf_counter() - started

    def _entered(
        self, coded: CodedMessage, spec: str
    ) -> tuple[MessageRow, dict[str, bytes], float]:
        """Add a message coded with another codec; return its row, payloads and seconds."""
        content = copy_content(coded.content)
        blank = dict.fromkeys(_COUNTED, 0)
        row = replace(coded.row, codec=spec, decode_s=math.nan, payload_crc32="", **blank)  # type: ignore[arg-type]
        payloads: dict[str, bytes] = {}
        seconds = 0.0
        for name, (arrays, base) in coded.parts.items():
            own = describe_payload(payload_of(coded.content.array_records[name]))
            started = time.perf_counter()
            payloads[name] = encode_payload(
                arrays, codec=spec, base=base, self_contained=own.template is not None
            )
            seconds += time.perf_counter() - started
            count(row, [describe_payload(payloads[name])], counts_of(arrays))
            content.array_records[name] = payload_record(payloads[name])
        note = content.config_records[NOTE]
        if "codec" in note:
            note["codec"] = spec
            keep = keep_word(spec, memory=self._memory)
            note.pop("keep", None)
            if keep:
                note["keep"] = keep
        row.message_bytes = message_bytes(packed(content))
        self._pairs.append((coded.row, self._ledgers[spec].add(row)))
        return row, payloads, seconds


_COUNTED = (
    "parameters", "nonzero", "dense_bytes", "payload_bytes", "mask_bytes", "value_bytes",
)  # fmt: skip
