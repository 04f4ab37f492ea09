"""The fuzzer finds what is wrong, keeps it short, and replays it."""

import json

import numpy as np
import pytest

from experiments import fuzz
from experiments.fuzz_cases import Parts, cases, sealed
from experiments.fuzz_mutations import mutate, shortened
from flwr_gan.wire import decode_payload, encode_payload
from flwr_gan.wire.codecs import codec_names
from flwr_gan.wire.stages import stage_names


@pytest.fixture(scope="module")
def known():
    return [case for case in cases() if "small" in case.name and "paq9a" not in case.codec]


@pytest.mark.long
def test_parts_make_the_payload_again(known):
    arrays = {"w": np.eye(9, dtype=np.float32)}
    for codec in ("zlib", "sparse", "sparse:int8"):
        payload = encode_payload(arrays, codec=codec)
        assert sealed(Parts.of(payload)) == payload
    for case in known:
        decode_payload(sealed(case.parts), template=case.template, base=case.base)


@pytest.mark.long
def test_every_codec_and_stage_has_a_case():
    words = {word.split(":")[0] for case in cases() for word in case.codec.split("+")}
    assert words == {*codec_names(), *stage_names()}


def test_mutations_follow_from_the_seed(known):
    case = known[0]
    first = [mutate(case, known, np.random.default_rng(7)) for _ in range(3)]
    second = [mutate(case, known, np.random.default_rng(7)) for _ in range(3)]
    assert first == second
    assert first[0] != case.parts.body()


@pytest.mark.long
def test_a_run_reports_and_finds_nothing(known, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fuzz, "cases", lambda: known[::4])
    monkeypatch.setattr(fuzz, "bombs", list)
    results = tmp_path / "fuzz.json"
    arguments = ["--seconds", "1", "--corpus", str(tmp_path), "--results", str(results)]
    assert fuzz.main([*arguments, "--keep-reasons"]) == 0
    (row,) = json.loads(results.read_text())
    assert row["findings"] == 0
    assert row["executions"] > 100
    assert row["resealed_share"] > 0.9
    kept = list(fuzz.read_corpus(tmp_path))
    assert kept
    assert fuzz.main([*arguments]) == 0
    assert json.loads(results.read_text())[1]["replayed"] == len(kept)


def test_what_goes_wrong_is_kept_short_and_replayed(known, tmp_path, monkeypatch):
    def broken(payload, **options):
        if b"w" in payload[6:-4]:
            raise KeyError("w")
        return {}

    monkeypatch.setattr(fuzz, "decode_payload", broken)
    fuzzer = fuzz.Fuzzer()
    case = next(case for case in known if case.template is None)
    payload = sealed(case.parts)
    wrong = fuzzer.run(case, payload)
    assert wrong is not None
    assert wrong.startswith("KeyError")
    fuzzer.record(case, payload, wrong)
    (found,) = fuzzer.findings
    assert len(bytes.fromhex(found["payload"])) <= 6 + 1 + 4
    (tmp_path / "findings.jsonl").write_text(json.dumps(found) + "\n")
    again = fuzz.Fuzzer()
    assert fuzz.replay(again, tmp_path, {case.name: case}) == 1
    assert again.findings[0]["kind"] == found["kind"]


def test_too_much_memory_is_a_finding(known, monkeypatch):
    def greedy(payload, **options):
        np.ones(2 * (fuzz.MAX_BYTES + fuzz.ROOM_BYTES), np.uint8)
        return {}

    monkeypatch.setattr(fuzz, "decode_payload", greedy)
    case = next(case for case in known if case.template is None)
    wrong = fuzz.Fuzzer(memory_every=1).run(case, sealed(case.parts))
    assert wrong is not None
    assert wrong.startswith("memory")


def test_shortening_keeps_what_matters():
    assert shortened(b"abcXdefghYij", lambda body: b"X" in body and b"Y" in body) == b"XY"
