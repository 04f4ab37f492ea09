"""Pools of generators, read back from the files of a finished one-shot run."""

from pathlib import Path

import numpy as np
import pandas as pd
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters

from experiments.study.app_runs import uploads
from flwr_gan.app.federation import Federation, build_strategy
from flwr_gan.errors import OutputError
from flwr_gan.flower.flwr_private import fitres_to_recorddict
from flwr_gan.flower.notes import ReplyNote, put_note
from flwr_gan.flower.packing import packed
from flwr_gan.flower.records import message_bytes, payload_record
from flwr_gan.wire import decode_payload, encode_payload
from strategies import GeneratorPool


def saved_uploads(folder: Path, clients: int) -> list[bytes]:
    """Return the uploads of a one-shot run as they travelled, in the order of the clients."""
    paths = [folder / "generators" / f"client-{client:05d}.fgan" for client in range(clients)]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise OutputError(f"{missing[0].name} is missing: {len(missing)} clients delivered nothing")
    return [path.read_bytes() for path in paths]


def recoded(sent: list[bytes], codec: str) -> list[bytes]:
    """Return the same uploads under another codec; nothing is trained again."""
    return [encode_payload(decode_payload(upload), codec=codec) for upload in sent]


def pool_of(federation: Federation, sent: list[bytes]) -> GeneratorPool:
    """Return the server's pool that holds these uploads."""
    pool: GeneratorPool = build_strategy(federation)
    counts_PK = np.stack([list(decode_payload(upload).values())[-1] for upload in sent])
    pool.load_state_dict({"counts": counts_PK, "payloads": sent})
    return pool


def upload_rows(folder: Path) -> pd.DataFrame:
    """Return the measured rows of the uploads in a run's ``messages.csv``, by client."""
    return uploads(folder).set_index("client")


def reply_bytes(payload: bytes, *, client: int, samples: int) -> int:
    """Return what Flower's transport stores for a reply with this payload.

    The reply is built as the app builds it and weighed, so for the payload that has travelled it
    is the measured ``message_bytes``.
    """
    result = FitRes(Status(Code.OK, "Success"), ndarrays_to_parameters([]), samples, {})
    content = fitres_to_recorddict(result, keep_input=True)
    content.array_records["fitres.parameters"] = payload_record(payload)
    put_note(content, ReplyNote(label=client))
    return message_bytes(packed(content))
