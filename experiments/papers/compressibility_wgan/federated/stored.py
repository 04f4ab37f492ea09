"""Bytes to send: the uploads of a finished one-shot run, and the clients' raw data.

N samples, T vectors, C components, P clients, K classes.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import zstandard
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters
from numpy.typing import NDArray

from experiments.study.app_runs import uploads
from flwr_gan.app.federation import Federation
from flwr_gan.app.strategy import build_strategy
from flwr_gan.data import Samples
from flwr_gan.data.pendigits import FILES, parse_unipen
from flwr_gan.data.sources import read_source
from flwr_gan.errors import OutputError
from flwr_gan.flower.flwr_private import fitres_to_recorddict
from flwr_gan.flower.notes import ReplyNote, put_note
from flwr_gan.flower.packing import packed
from flwr_gan.flower.records import message_bytes, payload_record
from flwr_gan.wire import decode_payload, encode_payload
from strategies import GeneratorPool

ZSTD_LEVEL = 19
INT8_SCALE = 127


def saved_uploads(folder: Path, clients: int) -> list[bytes]:
    """Return the uploads of a one-shot run as they were sent, in the order of the clients."""
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
    """Return the size of a reply with this payload in Flower's transport.

    The reply is built as in the app, so for a payload that was sent the size equals the measured
    ``message_bytes``.
    """
    result = FitRes(Status(Code.OK, "Success"), ndarrays_to_parameters([]), samples, {})
    content = fitres_to_recorddict(result, keep_input=True)
    content.array_records["fitres.parameters"] = payload_record(payload)
    put_note(content, ReplyNote(label=client))
    return message_bytes(packed(content))


def float32_bytes(samples: Samples) -> bytes:
    """Return the vectors as float32 and the labels as one byte each, as the trainer reads them."""
    return samples.x_NTC.tobytes() + samples.y_N.astype(np.uint8).tobytes()


def int8_bytes(samples: Samples) -> bytes:
    """Return the vectors as int8 steps of 1/127 and the labels as one byte each.

    The error is at most half a step. The components of all samples are stored one after the other,
    which zstd compresses better than sample after sample.
    """
    x_TCN = int8_vectors(samples.x_NTC).transpose(1, 2, 0)
    return np.ascontiguousarray(x_TCN).tobytes() + samples.y_N.astype(np.uint8).tobytes()


def int8_vectors(x_NTC: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return the vectors in steps of 1/127."""
    return np.round(x_NTC * INT8_SCALE).astype(np.int8)


def affordable(samples: Samples, most_bytes: int, rng: np.random.Generator) -> Samples:
    """Return as many random samples as fit into ``most_bytes`` as int8 under zstd."""
    order = rng.permutation(len(samples))
    fits, too_many = 0, len(samples) + 1
    while too_many - fits > 1:  # the size grows with the number, up to a byte or two
        count = (fits + too_many) // 2
        if zstd_bytes(int8_bytes(samples.take(order[:count]))) <= most_bytes:
            fits = count
        else:
            too_many = count
    return samples.take(order[:fits])


def zstd_bytes(data: bytes) -> int:
    """Return the length of the data under zstd at level 19."""
    return len(zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(data))


def pen_bytes(federation: Federation) -> Callable[[int], bytes] | None:
    """Return a function from a client to its recorded pen trajectories, None if there are none.

    Only ``pendigits`` has them: the tablet's integer coordinates before resampling to T vectors, as
    int16, each stroke preceded by its number of points, and the labels as one byte each.
    """
    if federation.dataset.name != "pendigits":
        return None
    name = FILES["train"].path
    drawings, y_N, _ = parse_unipen(read_source(FILES["train"]), name=name)

    def of_client(client: int) -> bytes:
        parts = []
        for i in federation.split[client]:
            for stroke in drawings[i]:
                parts.append(np.uint16(len(stroke)).tobytes())
                parts.append(np.asarray(stroke).astype(np.int16).tobytes())
        return b"".join(parts) + y_N[federation.split[client]].astype(np.uint8).tobytes()

    return of_client


def stored_sizes(federation: Federation) -> list[dict[str, int]]:
    """Return, for each client, the bytes of its data in each form, raw and under zstd."""
    pen = pen_bytes(federation)
    rows = []
    for client in range(len(federation.split)):
        samples = federation.samples_of(client)
        forms = {"float32": float32_bytes(samples), "int8": int8_bytes(samples)}
        if pen is not None:
            forms["pen"] = pen(client)
        rows.append(
            {
                f"data_{form}{ending}_bytes": size
                for form, data in forms.items()
                for ending, size in (("", len(data)), ("_zstd", zstd_bytes(data)))
            }
        )
    return rows
