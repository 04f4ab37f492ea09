"""Averaging the surviving values alone gives what FedAvg gives, bit for bit."""

import numpy as np
import pytest
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.strategy import FedAvg

from flwr_gan.flower import CodedFitRes
from flwr_gan.flower.reply import CodedReply
from flwr_gan.wire import Base, Template, encode_payload
from strategies import SparseFedAvg

CLIENTS = 5
SETTINGS = {"fit_metrics_aggregation_fn": lambda metrics: {"clients": len(metrics)}}


def generator(seed: int, *, kept: float = 0.1) -> dict[str, np.ndarray]:
    masks, rng = np.random.default_rng(7), np.random.default_rng(seed)
    shapes = {"fc": (50, 20), "conv": (6, 5, 3)}
    return {
        name: np.where(masks.random(shape) < kept, rng.normal(size=shape), 0).astype(np.float32)
        for name, shape in shapes.items()
    }


def replies(codec: str, *, odd: dict[str, np.ndarray] | None = None) -> list:
    held = generator(0)
    base, template = Base(held), Template.of(held)
    made = []
    for client in range(CLIENTS):
        arrays = odd if odd is not None and client == 2 else generator(client + 1)
        payload = encode_payload(arrays, codec=codec, base=held, self_contained=False)
        result = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([]), client + 1, {})
        coded = CodedReply(payload, template, base, template.nbytes)
        made.append((None, CodedFitRes(result, coded, client)))
    return made


def watched(strategy: SparseFedAvg, given: list, *, expected: int | None = None) -> SparseFedAvg:
    """Show the strategy the replies as ``CompressedStrategy`` does while it checks them."""
    samples = sum(result.num_examples for _, result in given)
    take = strategy.begin_replies(samples if expected is None else expected)
    for _, result in given:
        take(result.coded, result.coded.check()[1], result.num_examples)
    return strategy


def averages(
    codec: str, *, watch: bool = False, inplace: bool = True, **settings
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    given = replies(codec, **settings)
    dense, metrics = FedAvg(inplace=inplace, **SETTINGS).aggregate_fit(1, given, [])
    strategy = SparseFedAvg(inplace=inplace, **SETTINGS)
    sparse, own_metrics = (watched(strategy, given) if watch else strategy).aggregate_fit(
        1, given, []
    )
    assert metrics == own_metrics == {"clients": CLIENTS}
    return parameters_to_ndarrays(dense), parameters_to_ndarrays(sparse)


@pytest.mark.parametrize("codec", ["sparse", "sparse:int8", "ternary+sparse"])
@pytest.mark.parametrize("watch", [False, True])
@pytest.mark.parametrize("inplace", [False, True])
def test_same_as_fedavg(codec, watch, inplace):
    averaged = averages(codec, watch=watch, inplace=inplace)
    for ours, theirs in zip(*averaged, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes()


def test_what_was_added_up_while_checked_is_not_decoded_again(monkeypatch):
    given = replies("sparse")
    strategy = watched(SparseFedAvg(**SETTINGS), given)
    monkeypatch.setattr(CodedReply, "survivors", lambda self: pytest.fail("decoded again"))
    averaged, _ = strategy.aggregate_fit(1, given, [])
    assert averaged is not None
    with pytest.raises(pytest.fail.Exception):  # it is of that round alone
        strategy.aggregate_fit(2, given, [])


@pytest.mark.parametrize("case", ["one refused", "other samples", "other order", "other replies"])
def test_what_was_added_up_counts_only_for_these_replies(case):
    given = replies("sparse")
    results = {
        "one refused": given[:-1],
        "other samples": given,
        "other order": given[::-1],
        "other replies": replies("sparse"),
    }[case]
    strategy = watched(SparseFedAvg(), given, expected=99 if case == "other samples" else None)
    ours, _ = strategy.aggregate_fit(1, results, [])
    theirs, _ = FedAvg().aggregate_fit(1, results, [])
    assert ours == theirs


def test_survivors_alone_are_decoded(monkeypatch):
    given = replies("sparse")
    monkeypatch.setattr(CodedReply, "arrays", lambda self: pytest.fail("a whole reply was decoded"))
    averaged, _ = SparseFedAvg(**SETTINGS).aggregate_fit(1, given, [])
    assert averaged is not None


@pytest.mark.parametrize("codec", ["sparse", "zlib:6"])
def test_other_masks_and_codecs_are_averaged_whole(codec):
    odd = generator(9, kept=0.3)
    for ours, theirs in zip(*averages(codec, odd=odd, watch=True), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_nothing_to_average():
    assert SparseFedAvg(**SETTINGS).aggregate_fit(1, [], []) == (None, {})
