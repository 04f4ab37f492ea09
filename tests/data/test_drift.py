"""Schedules of drifting data: the right samples in the right round, always the same."""

import numpy as np
import pytest

from flwr_gan.data import Samples
from flwr_gan.data.drift import DriftContext, NewClasses, NewWriters
from flwr_gan.data.style_drift import StyleDrift
from flwr_gan.errors import ConfigError, PartitionError

CONTEXT = DriftContext(num_classes=10, kind="image", seed=3)
STROKES = DriftContext(num_classes=10, kind="strokes", seed=3)


def samples(count=200, *, writers=6):
    rng = np.random.default_rng(0)
    x_NTC = rng.uniform(-1, 1, (count, 8, 8)).astype(np.float32)
    labels = np.arange(count) % 10
    return Samples(x_NTC, labels, None if writers is None else np.arange(count) // 10 % writers)


def at(drift, server_round, *, context=CONTEXT, held=None, partition=0):
    held = samples() if held is None else held
    stage = drift.stage(server_round)
    return drift.samples(held, context, stage=stage, partition=partition)


def test_stages_are_of_equal_length_and_the_last_goes_on():
    drift = NewClasses(stages=3, every=4)
    assert [drift.stage(r) for r in range(1, 17)] == [0] * 4 + [1] * 4 + [2] * 8


def test_new_classes_come_in_the_order_of_labels_and_old_ones_are_gone():
    drift = NewClasses(stages=2, every=5)
    assert set(at(drift, 5).y_N) == {0, 1, 2, 3, 4}
    assert set(at(drift, 6).y_N) == {5, 6, 7, 8, 9}
    kept = NewClasses(stages=2, every=5, keep_old=True)
    assert set(at(kept, 5).y_N) == {0, 1, 2, 3, 4}
    assert len(at(kept, 6)) == len(samples())
    uneven = NewClasses(stages=3, every=1)
    assert [len(c) for c in uneven.classes(10)] == [4, 3, 3]


def test_all_samples_of_a_class_are_there_and_as_they_were():
    held = samples()
    got = at(NewClasses(stages=5, every=1), 2)
    wanted = held.take(np.flatnonzero((held.y_N == 2) | (held.y_N == 3)))
    assert np.array_equal(got.x_NTC, wanted.x_NTC)
    assert np.array_equal(got.writer_N, wanted.writer_N)


def test_references_of_classes_are_held_out_samples():
    test = samples(50)
    reference = NewClasses(stages=2).reference([samples()], test, CONTEXT, stage=1)
    assert np.array_equal(reference.x_NTC, test.x_NTC[test.y_N >= 5])


def test_writers_take_turns_and_none_is_lost():
    drift = NewWriters(stages=3, every=2)
    stages = [set(at(drift, r).writer_N.tolist()) for r in (1, 3, 5)]
    assert [len(writers) for writers in stages] == [2, 2, 2]
    assert set.union(*stages) == set(range(6))
    assert np.array_equal(at(drift, 3).x_NTC, at(drift, 4).x_NTC)  # the same in a whole stage
    orders = {tuple(sorted(set(at(drift, 1, partition=p).writer_N.tolist()))) for p in range(8)}
    assert len(orders) > 1  # each client has an order of its own
    kept = NewWriters(stages=3, every=2, keep_old=True)
    assert len(at(kept, 5)) == len(samples())


def test_references_of_writers_are_what_clients_hold():
    drift, clients = NewWriters(stages=2, every=1), [samples(), samples(100)]
    reference = drift.reference(clients, samples(20), CONTEXT, stage=1)
    held = [at(drift, 2, held=c, partition=p) for p, c in enumerate(clients)]
    assert np.array_equal(reference.x_NTC, np.concatenate([part.x_NTC for part in held]))


def test_style_grows_to_its_full_and_leaves_labels_alone():
    drift = StyleDrift(stages=3, every=1, degrees=90, slant=0)
    held = samples()
    assert at(drift, 1) is not None
    assert np.array_equal(at(drift, 1).x_NTC, held.x_NTC)
    turned = at(drift, 3)
    # A quarter turn is exact: rows become columns.
    np.testing.assert_allclose(turned.x_NTC, np.rot90(held.x_NTC, axes=(1, 2)), atol=1e-5)
    half = at(drift, 2).x_NTC
    assert not np.allclose(half, held.x_NTC, atol=0.1)
    assert np.array_equal(turned.y_N, held.y_N)
    np.testing.assert_allclose(drift.matrix(1), np.array([[1, -1], [1, 1]]) / np.sqrt(2))


def test_images_in_colour_are_turned_channel_by_channel():
    drift = StyleDrift(stages=2, every=1, degrees=20, slant=0.2)
    x = np.random.default_rng(0).uniform(-1, 1, (3, 6, 6, 3)).astype(np.float32)
    turned = drift.styled(Samples(x, np.arange(3)), CONTEXT, stage=1).x_NTC
    assert turned.shape == x.shape
    for channel in range(3):
        grey = Samples(np.ascontiguousarray(x[..., channel]), np.arange(3))
        np.testing.assert_array_equal(
            turned[..., channel], drift.styled(grey, CONTEXT, stage=1).x_NTC
        )


def test_strokes_are_mapped_vector_by_vector():
    x_NTC = np.zeros((1, 3, 3), np.float32)
    x_NTC[0] = [[1, 0, 1], [0, 0.5, 1], [0.2, 0.2, -1]]
    held = Samples(x_NTC, np.zeros(1, np.int64))
    turned = at(StyleDrift(stages=2, every=1, degrees=90, slant=0), 2, context=STROKES, held=held)
    np.testing.assert_allclose(
        turned.x_NTC[0], [[0, 1, 1], [-0.5, 0, 1], [-0.2, 0.2, -1]], atol=1e-6
    )
    slanted = at(StyleDrift(stages=2, every=1, degrees=0, slant=2), 2, context=STROKES, held=held)
    np.testing.assert_allclose(slanted.x_NTC[0, 1:, 0], [1.0, 0.6], atol=1e-6)


@pytest.mark.parametrize("drift", [StyleDrift(stages=2, every=1), NewWriters(every=1)])
def test_the_same_call_gives_the_same_samples(drift):
    first, second = at(drift, 2), at(drift, 2)
    assert np.array_equal(first.x_NTC, second.x_NTC)
    assert first.x_NTC.min() >= -1
    assert first.x_NTC.max() <= 1


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: NewClasses(stages=1), "drift.stages=1"),
        (lambda: NewClasses(every=0), "drift.every=0"),
        (lambda: NewWriters(keep_old=1), "drift.keep_old=1"),
        (lambda: StyleDrift(degrees=400), "drift.degrees=400"),
        (lambda: StyleDrift(slant="much"), "drift.slant='much'"),
        (lambda: at(NewClasses(stages=11, every=1), 1), "drift.stages=11"),
    ],
)
def test_bad_settings_are_named(make, match):
    with pytest.raises(ConfigError, match=match):
        make()


def test_writers_are_needed():
    with pytest.raises(PartitionError, match="needs data with writers"):
        at(NewWriters(), 1, held=samples(writers=None))
    with pytest.raises(PartitionError, match="client 4 holds 2 writers"):
        at(NewWriters(stages=3), 1, held=samples(writers=2), partition=4)
