"""State trees: mappings and lists of arrays and plain values, to named arrays and back.

Objects with state between rounds return it as a tree (``state_dict``) and restore it
(``load_state_dict``); only this module decides how it is kept, in a file or in a node's records.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from flwr_gan.core.atomic import replacing
from flwr_gan.errors import OutputError

Arrays = dict[str, NDArray[Any]]

OUTLINE = "outline"
"""Name of the array with the outline of the tree: JSON, as bytes."""

_ARRAY, _BYTES = "$array", "$bytes"


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings, with names such as ``critic/fc1.weight``."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def flatten(tree: Mapping[str, Any]) -> Arrays:
    """Return a tree as named arrays, and its ``outline``, for ``unflatten``.

    Keys are text. Leaves are arrays, tensors (which become arrays), bytes, numbers, text, True,
    False and None; lists and tuples may hold them too and become lists. Arrays are copied and named
    by their path, such as ``critic/fc1.weight``.
    """
    arrays: Arrays = {}

    def outlined(node: Any, path: str) -> Any:
        if isinstance(node, Mapping):
            return {key: outlined(value, f"{path}/{key}") for key, value in node.items()}
        if isinstance(node, list | tuple):
            return [outlined(value, f"{path}/{at}") for at, value in enumerate(node)]
        kind = _BYTES if isinstance(node, bytes) else _ARRAY
        if isinstance(node, bytes):
            node = np.frombuffer(node, np.uint8)
        elif hasattr(node, "detach"):
            node = node.detach().cpu().numpy()
        if not isinstance(node, np.ndarray):
            return node
        name = path[1:] if path[1:] not in {*arrays, OUTLINE} else f"{len(arrays)}{path}"
        arrays[name] = np.array(node)
        return {kind: name}

    text = json.dumps(outlined(tree, ""))
    return arrays | {OUTLINE: np.frombuffer(text.encode(), np.uint8)}


def unflatten(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the tree from the output of ``flatten``.

    Raises ``KeyError`` or ``ValueError`` when an array is missing, or the outline is invalid.
    """

    def grown(node: dict[str, Any]) -> Any:
        if _ARRAY in node:
            return arrays[node[_ARRAY]]
        return arrays[node[_BYTES]].tobytes() if _BYTES in node else node

    tree: dict[str, Any] = json.loads(arrays[OUTLINE].tobytes(), object_hook=grown)
    return tree


def write_tree(path: Path, tree: Mapping[str, Any]) -> None:
    """Write a tree to an npz file atomically."""
    write_arrays(path, flatten(tree))


def read_tree(path: Path) -> dict[str, Any]:
    """Read a file of ``write_tree``; ``OutputError`` if it is missing or damaged."""
    try:
        return unflatten(read_arrays(path))
    except (KeyError, ValueError) as error:
        raise OutputError(f"{path} is damaged: {error}; start a new run") from error


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays to an npz file atomically."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_arrays(path: Path) -> Arrays:
    """Read a file of ``write_arrays``; ``OutputError`` if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise OutputError(f"cannot read {path}: {reason}; start a new run") from error
