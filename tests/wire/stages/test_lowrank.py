"""Low rank: the best factors, energy kept, layers that are left whole, bad ranks, the report."""

import numpy as np
import pytest

from flwr_gan.app.fgan import main
from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire import decode_payload, describe_payload, save
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.codecs.varint import write_varint
from flwr_gan.wire.header import seal
from flwr_gan.wire.stages import get_stage
from tests.wire.stages.all_arrays import encode_payload

RNG = np.random.default_rng(12)
DENSE = RNG.normal(size=(40, 30)).astype(np.float32)
CONV = RNG.normal(size=(16, 12, 3)).astype(np.float32)
LOW = (RNG.normal(size=(50, 5)) @ RNG.normal(size=(5, 60))).astype(np.float32)


def round_trip(spec, **arrays):
    return decode_payload(encode_payload(arrays, codec=f"{spec}+raw"))


@pytest.mark.parametrize("rank", [1, 3, 10])
def test_no_matrix_of_that_rank_is_nearer(rank):
    for array in (DENSE, CONV):
        matrix = array.reshape(len(array), -1).astype(np.float64)
        sizes = np.linalg.svd(matrix, compute_uv=False)
        got = round_trip(f"lowrank:rank:{rank}", w=array)["w"].reshape(matrix.shape)
        assert np.linalg.matrix_rank(got.astype(np.float64), tol=1e-4) == rank
        missing = np.linalg.norm(matrix - got)
        assert np.isclose(missing, np.sqrt((sizes[rank:] ** 2).sum()), rtol=1e-5)


@pytest.mark.parametrize("energy", ["0.3", "0.5", "0.7"])
def test_as_few_singular_values_as_have_the_energy(energy):
    head, parts = get_stage(f"lowrank:energy:{energy}").apply([DENSE, CONV])
    for array, factors in zip((DENSE, CONV), parts, strict=True):
        sizes = np.linalg.svd(array.reshape(len(array), -1), compute_uv=False).astype(np.float64)
        shares = np.cumsum(sizes**2) / np.sum(sizes**2)
        rank = len(factors[0])
        assert shares[rank - 1] >= float(energy)
        assert rank == 1 or shares[rank - 2] < float(energy)
        assert [factor.shape[0] for factor in factors] == [rank, rank]
    assert head == b"".join(write_varint(len(factors[0])) for factors in parts)


def test_a_layer_of_low_rank_is_nearly_exact_and_small():
    got = round_trip("lowrank:energy:0.9999", w=LOW)["w"]
    assert np.linalg.norm(got - LOW) < 0.01 * np.linalg.norm(LOW)
    exact = round_trip("lowrank:rank:5", w=LOW)["w"]
    assert np.allclose(exact, LOW, atol=1e-5)
    payload = encode_payload({"w": LOW}, codec="lowrank:rank:5+raw", self_contained=False)
    plain = encode_payload({"w": LOW}, codec="raw", self_contained=False)
    # A stage is named in two bytes, the rank takes one.
    assert len(payload) == len(plain) - LOW.nbytes + 4 * 5 * (50 + 60) + 3


def test_a_layer_whose_factors_would_be_larger_is_left_whole():
    pruned = np.where(np.abs(DENSE) > 2, DENSE, 0).astype(np.float32)
    arrays = {"dense": DENSE, "pruned": pruned, "bias": DENSE[0], "thin": DENSE[:, :1]}
    arrays |= {"zero": np.zeros_like(DENSE), "none": np.empty((0, 3), np.float32)}
    arrays["scalar"] = np.array(2.5, np.float32)
    got = round_trip("lowrank:rank:17", **arrays)
    assert not np.array_equal(got["dense"], DENSE)  # 17 (40 + 30) < 1,200
    for name in ("pruned", "bias", "thin", "zero", "none", "scalar"):
        assert np.array_equal(got[name], arrays[name])
    assert np.array_equal(round_trip("lowrank:rank:18", w=DENSE)["w"], DENSE)


def test_the_product_is_the_same_whatever_the_blocks(monkeypatch):
    stage = get_stage("lowrank:rank:7")
    factors = stage.apply([DENSE])[1][0]
    whole = stage.restore(factors, DENSE.shape)
    monkeypatch.setattr("flwr_gan.wire.stages.lowrank._BLOCK", 64)
    assert stage.restore(factors, DENSE.shape).tobytes() == whole.tobytes()
    exact = factors[0].T.astype(np.float64) @ factors[1].astype(np.float64)
    assert np.allclose(whole, exact, rtol=1e-6, atol=1e-7)


def test_factors_are_coded_by_the_stages_behind():
    sizes = {}
    for codec in ("sparse", "cast:bf16+sparse", "quantize:int8:channel+sparse", "sparse:int4"):
        payload = encode_payload({"w": LOW}, codec=f"lowrank:rank:5+{codec}")
        sizes[codec] = len(payload)
        change = np.linalg.norm(decode_payload(payload)["w"] - LOW) / np.linalg.norm(LOW)
        assert change < {"sparse": 1e-5, "sparse:int4": 0.2}.get(codec, 0.02)
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)


def test_pruned_factors():
    payload = encode_payload({"w": LOW}, codec="lowrank:rank:5+prune:magnitude:0.5:local+raw")
    assert describe_payload(payload).codec.spec == "lowrank:rank:5+prune:magnitude:0.5:local+raw"
    assert 0 < np.linalg.norm(decode_payload(payload)["w"] - LOW) < np.linalg.norm(LOW)


def test_what_has_no_factors_is_refused():
    array = DENSE.copy()
    array[2, 2] = np.nan
    with pytest.raises(CodecError, match="NaN or infinity"):
        get_codec("lowrank:rank:3+sparse").encode_bundle([array])


def test_bad_ranks_are_refused_before_memory_is_taken():
    payload = encode_payload({"w": DENSE}, codec="lowrank:rank:3+sparse", self_contained=False)
    at = 6 + 2 + 8
    mask = payload[at]
    at += 1 + mask
    assert payload[at] == 3
    template = describe_payload(encode_payload({"w": DENSE})).template
    for rank, said in ((18, "cannot have factors of rank 18"), (4, "mask"), (0, "mask")):
        bad = seal(payload[:at] + bytes([rank]) + payload[at + 1 : -4])
        with pytest.raises(PayloadError, match=said):
            decode_payload(bad, template=template)
    bad = seal(payload[:at] + write_varint(2000) + payload[at + 1 : -4])
    with pytest.raises(PayloadError, match="at most 1024"):
        decode_payload(bad, template=template)


def test_the_report_of_a_file(tmp_path, capsys):
    save(tmp_path / "g.fgan", {"w": LOW, "bias": DENSE[0]}, codec="lowrank:rank:5+sparse:int8")
    (tmp_path / "bare.fgan").write_bytes(
        encode_payload({"w": LOW}, codec="lowrank:rank:5+sparse", self_contained=False)
    )
    assert main(["inspect", str(tmp_path / "g.fgan")]) == 0
    printed = capsys.readouterr().out
    assert "lowrank:rank:5+quantize:int8:layer+sparse (lossy)" in printed
    assert "codes, 550 survivors" in printed
    assert "layered" in printed
    assert main(["inspect", str(tmp_path / "bare.fgan")]) == 0
    assert "unknown" in capsys.readouterr().out
