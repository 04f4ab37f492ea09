"""Inputs that the fuzzer kept are refused, or decoded, as they should be."""

import importlib.util
from pathlib import Path

import pytest

from experiments.fuzz import Fuzzer, read_corpus, warm_up
from experiments.fuzz_cases import bombs, cases
from flwr_gan.wire.codecs import compiled

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("pcodec", "numba")),
    reason="the corpus holds payloads of optional codecs",
)
def test_kept_inputs_raise_payload_error_alone():
    sound = cases()
    known = {case.name: case for case in [*sound, *bombs((1 << 12,))]}
    entries = list(read_corpus(CORPUS))
    assert len(entries) > 50
    fuzzer = Fuzzer(memory_every=1)
    compiled.load()
    warm_up(sound)
    for entry in entries:
        case = known.get(entry["case"])
        if case is not None:
            assert fuzzer.run(case, bytes.fromhex(entry["payload"])) is None, entry["case"]
    assert fuzzer.executions > 50
