"""Code arrays with nncodec in a separate Python, because it needs numpy < 2.

``python nncodec_worker.py SPARSITY`` reads requests from its standard input and answers on its
standard output. A request is ``e`` or ``d``, a length in 8 bytes, and that many bytes: an npy file
or nncodec's bitstream.
"""

import io
import os
import sys
import tempfile
from importlib.util import find_spec
from unittest.mock import MagicMock

import numpy as np

if find_spec("torchvision") is None:  # only nncodec's data loaders need it
    for name in ("torchvision", "torchvision.datasets", "torchvision.transforms"):
        sys.modules[name] = MagicMock()
from nncodec.tensor import decode, encode


def main() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nncodec prints to standard output
    with tempfile.TemporaryDirectory() as folder:  # nncodec writes its result to a file
        settings = {
            "bitdepth": 4,
            "use_dq": True,
            "sparsity": float(sys.argv[1]),
            "struct_spars_factor": 0.9,
            "results": folder,
        }
        while kind := sys.stdin.buffer.read(1):
            data = sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(8), "little"))
            if kind == b"e":
                answer = bytes(encode(np.load(io.BytesIO(data)), dict(settings)))
            else:
                written = io.BytesIO()
                np.save(written, np.asarray(decode(bytearray(data)), np.float32))
                answer = written.getvalue()
            answers.write(len(answer).to_bytes(8, "little") + answer)
            answers.flush()


if __name__ == "__main__":
    main()
