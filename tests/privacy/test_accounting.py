"""Epsilon against Opacus called by hand."""

import math
import warnings

import pytest

from flwr_gan.core.tree import flatten, unflatten
from flwr_gan.errors import ConfigError
from flwr_gan.privacy import PrivacyAccount, Release, epsilon_of, noise_for
from flwr_gan.privacy.accounting import ORDERS


def by_hand(history, delta):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from opacus.accountants import RDPAccountant
    accountant = RDPAccountant()
    for noise, rate, steps in history:
        for _ in range(steps):
            accountant.step(noise_multiplier=noise, sample_rate=rate)
    return accountant.get_epsilon(delta, alphas=list(ORDERS))


def test_epsilon_is_that_of_the_accountant_step_by_step():
    history = [(4.0, 1.0, 1), (1.1, 0.05, 60), (2.0, 0.1, 25)]
    account = PrivacyAccount(1e-4)
    for noise, rate, steps in history:
        account.spend(noise, rate, steps)
    assert account.epsilon == pytest.approx(by_hand(history, 1e-4), rel=1e-9)


def test_one_gaussian_release_is_near_its_closed_form():
    # order a costs a / (2 s^2); the best order gives 1 / (2 s^2) + sqrt(2 log(1/delta)) / s,
    # less what the better conversion to (epsilon, delta) saves
    bound = 1 / (2 * 5**2) + math.sqrt(2 * math.log(1e5)) / 5
    assert 0.8 * bound < epsilon_of([Release(5.0, 1.0, 1)], 1e-5) <= bound * 1.001


def test_epsilon_grows_with_each_spending_and_equal_neighbours_are_joined():
    account, seen = PrivacyAccount(1e-4), [0.0]
    for _ in range(4):
        account.spend(1.0, 0.1, 50)
        seen.append(account.epsilon)
    assert seen == sorted(set(seen))
    assert account.history == [Release(1.0, 0.1, 200)]


def test_without_noise_nothing_is_promised():
    assert epsilon_of([Release(0.0, 0.1, 1)], 1e-4) == math.inf
    assert epsilon_of([], 1e-4) == 0


def test_an_account_survives_as_arrays():
    account = PrivacyAccount(1e-4, [Release(4.0, 1.0, 1), Release(0.7, 0.123456789, 4000)])
    kept = unflatten(flatten({"history": account.history, "none": []}))
    history = [Release(*release) for release in kept["history"]]
    assert PrivacyAccount(1e-4, history) == account
    assert kept["none"] == []


def test_noise_for_a_target_keeps_it_and_wastes_little():
    beside = (Release(4.0, 1.0, 1),)
    noise = noise_for(5.0, delta=1e-4, sample_rate=0.1, steps=800, beside=beside)
    assert epsilon_of([*beside, Release(noise, 0.1, 800)], 1e-4) <= 5.0
    assert epsilon_of([*beside, Release(noise * 0.995, 0.1, 800)], 1e-4) > 5.0


def test_a_target_that_the_label_release_alone_exceeds_is_one_clear_line():
    with pytest.raises(ConfigError, match=r"privacy\.target_epsilon=0\.1 cannot be kept"):
        noise_for(0.1, delta=1e-4, sample_rate=0.1, steps=10, beside=(Release(1.0, 1.0, 1),))
