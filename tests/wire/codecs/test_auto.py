"""``auto`` chooses by size, or by the time that a link would take, and says what it chose."""

import numpy as np
import pytest

from flwr_gan.wire import Template, decode_payload, describe_payload, encode_payload
from flwr_gan.wire.codecs import ArraySpec, get_codec
from flwr_gan.wire.codecs.auto import COSTS


def pruned(size, share):
    rng = np.random.default_rng(0)
    return {"w": (rng.normal(size=size) * (rng.random(size) < share)).astype(np.float32)}


def label(arrays, spec, **options):
    payload = encode_payload(arrays, codec=spec, **options)
    decoded = decode_payload(payload, base=options.get("base"))
    assert all(np.array_equal(decoded[name], array) for name, array in arrays.items())
    return describe_payload(payload).codec_label


def test_by_size_weights_are_coded_sparse():
    assert label(pruned(50_000, 0.05), "auto") == "sparse"


def test_by_size_is_never_longer_than_what_was_tried():
    text = np.frombuffer(b"the same words, again and again; " * 300, np.uint8)
    noise = np.random.default_rng(1).integers(0, 256, 40, dtype=np.uint8)
    for arrays in ({"t": text}, {"n": noise}, pruned(300, 0.1), {}):
        alone = [len(encode_payload(arrays, codec=spec)) for spec in ("sparse", "zstd:19", "raw")]
        assert len(encode_payload(arrays, codec="auto")) == min(alone)
    assert label({"t": text}, "auto") == "zstd"


def kinds_of_arrays():
    rng = np.random.default_rng(4)
    grid = (np.rint(rng.normal(size=100_000) * 36) / 127).astype(np.float32)
    row = rng.normal(size=500).astype(np.float32)
    return {
        "grid": grid,
        "three": rng.choice(np.array([-0.03, 0, 0.03], np.float32), 100_000),
        "repeated": np.tile(row, 300),
        "half": rng.normal(size=100_000).astype(np.float16).astype(np.float32),
        "words": np.frombuffer(b"the same words, again and again; " * 20_000, np.uint8),
        "counts": rng.poisson(3, 100_000),
        "noise": rng.integers(0, 256, 300_000, dtype=np.uint8),
    }


@pytest.mark.parametrize("kind", kinds_of_arrays())
@pytest.mark.parametrize("with_base", [False, True])
def test_no_candidate_is_shorter(kind, with_base):
    array = kinds_of_arrays()[kind]
    base = [np.roll(array, 1)] if with_base else None
    options = {"base": base} if with_base else {}
    chosen = get_codec("auto").select([array], **options)
    body = chosen.encode_bundle([array], **options)
    length = len(body.mask) + len(body.values) + (8 if body.base_need != "none" else 0)
    for spec in ("sparse", "zstd:9", "raw"):
        assert length <= 1.02 * len(get_codec(spec).encode(array))
    if with_base:
        sparse = get_codec("sparse").encode_bundle([array], base=base)
        assert length <= 8 + len(sparse.mask) + len(sparse.values)
    (decoded,) = chosen.decode_bundle(body, [ArraySpec(array.shape, array.dtype)], base=base)
    assert np.array_equal(decoded, array)


def test_what_was_tried_is_not_mistaken_for_other_arrays():
    first, second = (
        rng.normal(size=3000).astype(np.float32) for rng in map(np.random.default_rng, (1, 2))
    )
    words = np.frombuffer(b"again and again; " * 2000, np.uint8)
    for tried, other in (([first], [second]), ([words], [words[:100]]), ([first], [first, first])):
        chosen = get_codec("auto").select(tried)
        chosen.encode_bundle(tried)
        specs = [ArraySpec(array.shape, array.dtype) for array in other]
        for strict in (True, False):
            body = chosen.encode_bundle(other, strict=strict)
            decoded = chosen.decode_bundle(body, specs)
            assert all(np.array_equal(*pair) for pair in zip(decoded, other, strict=True))
    near = [first + np.float32(0.01)]
    body = get_codec("auto").select([first]).encode_bundle([first], base=near)
    assert body.base_need == "values"


def test_a_use_of_the_base_that_is_asked_for_is_made():
    arrays, near = pruned(5000, 0.1), pruned(5000, 0.1)
    near["w"] = near["w"] * np.float32(1.01)
    for use in ("mask", "values"):
        payload = encode_payload(arrays, codec="auto", base=near, base_use=use)
        assert describe_payload(payload).base_need == use


def test_the_link_decides():
    arrays = pruned(400_000, 0.3)
    chosen = [label(arrays, f"auto:{mbits}") for mbits in (1, 100, 1_000_000)]
    assert chosen[0] == "sparse"
    assert chosen[-1] != "sparse"


def test_faster_links_never_choose_a_shorter_payload():
    for size, share in ((1000, 1.0), (100_000, 0.02), (1_000_000, 0.3)):
        survivors = int(size * share)
        lengths = []
        for mbits in (0.1, 1, 10, 100, 1000, 10_000, 100_000):
            best = min(COSTS, key=lambda cost: cost.predicted_s(size, survivors, mbits))
            lengths.append(best.predicted_bytes(size, survivors))
        assert lengths == sorted(lengths)


def test_predictions_are_near_what_comes_out():
    for share in (0.02, 0.3):
        arrays = pruned(200_000, share)
        for cost in COSTS:
            length = len(encode_payload(arrays, codec=cost.spec))
            kept = int(np.count_nonzero(arrays["w"]))
            assert cost.predicted_bytes(200_000, kept) == pytest.approx(length, rel=0.35)


def test_a_base_is_used():
    arrays = pruned(5000, 0.1)
    near = {"w": arrays["w"] * np.float32(1.01)}
    payload = encode_payload(arrays, codec="auto:10", base=near, self_contained=False)
    assert describe_payload(payload).base_need == "values"
    decoded = decode_payload(payload, template=Template.of(arrays), base=near)
    assert np.array_equal(decoded["w"], arrays["w"])


def test_the_same_arrays_give_the_same_bytes():
    arrays = pruned(30_000, 0.2)
    codec = get_codec("auto:50")
    assert encode_payload(arrays, codec=codec) == encode_payload(arrays, codec="auto:50")
