"""Write the golden payloads: ``python -m tests.golden.write``.

Only files that are missing are written: what was once released must decode for ever.
"""

import hashlib
import json
import sys

from flwr_gan.wire import Template, decode_payload, encode_payload
from tests.golden.cases import CASES, FOLDER


def digest(arrays):
    """Return a hash of the arrays' names, types, shapes and bytes."""
    state = hashlib.sha256(Template.of(arrays).to_bytes())
    for array in arrays.values():
        state.update(array.tobytes())
    return state.hexdigest()


def decoded(payload, name):
    """Return the arrays of a case's payload, by what its receiver has."""
    arrays, options = CASES[name]
    return decode_payload(payload, base=options.get("base"), template=Template.of(arrays))


def main():
    """Write what is missing."""
    index_path = FOLDER / "index.json"
    index = json.loads(index_path.read_text()) if index_path.exists() else {}
    for name, (arrays, options) in CASES.items():
        path = FOLDER / f"{name}.fgan"
        if path.exists():
            continue
        payload = encode_payload(arrays, **options)
        path.write_bytes(payload)
        index[name] = digest(decoded(payload, name))
        sys.stdout.write(f"{path.name}: {len(payload)} bytes\n")
    index_path.write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
