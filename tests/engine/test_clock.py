"""Virtual time: what messages take, when a round ends, who is late, where the time goes."""

import pytest

from flwr_gan.engine.clock import Clock, ClockConfig, FlowerCost, Traffic, phases, predicted_round_s
from flwr_gan.engine.links import Client, spans
from flwr_gan.errors import ConfigError

NOTHING = FlowerCost(down_bytes=0, up_bytes=0, down_requests=0, up_requests=0)
LINK = Client(down_mbit_s=8, up_mbit_s=2, latency_ms=50, loss=0.5)


def test_a_message_takes_its_requests_and_its_bits():
    traffic = Traffic(0, down_bytes=1_000_000, up_bytes=500_000, compute_s=3)
    assert phases(LINK, traffic, NOTHING) == pytest.approx((2, 3, 4))  # half is sent twice
    cost = FlowerCost(down_bytes=1_000_000, up_bytes=0, down_requests=3, up_requests=2, waiting_s=7)
    assert phases(LINK, traffic, cost) == pytest.approx((4 + 0.3, 3, 4 + 0.2 + 7))


def test_a_round_is_as_long_as_its_slowest_client():
    clients = [LINK, Client()]
    traffic = [Traffic(0, 1_000_000, 500_000, 3), Traffic(1, 10**9, 10**9, 4)]
    assert predicted_round_s(clients, traffic, NOTHING) == pytest.approx(9)
    assert predicted_round_s(clients, [], NOTHING) == 0


def trained(clock, seconds, **close):
    traffic = [Traffic(at, 0, 0, one) for at, one in enumerate(seconds)]
    return clock.close_round(1, "train", traffic, **close)


def test_a_round_ends_with_its_last_reply():
    clock = Clock([Client()] * 3)
    assert trained(clock, [1, 5, 2]) == set()
    assert clock.now == 5
    assert trained(clock, [1, 1, 1]) == set()
    assert clock.now == 6


def test_replies_after_the_deadline_are_late_and_their_clients_finish_first():
    clock = Clock([Client()] * 3)
    assert trained(clock, [1, 5, 2], deadline_s=3) == {1}
    assert clock.now == 3
    assert trained(clock, [1, 0.5, 1], deadline_s=3) == set()
    assert [one.begun_s for one in clock.timeline[3:]] == [3, 5, 3]
    assert clock.now == 5.5


def test_of_more_clients_than_are_needed_the_first_close_the_round():
    clock = Clock([Client()] * 4)
    assert trained(clock, [4, 1, 3, 2], needed=2) == {0, 2}
    assert clock.now == 2
    assert trained(Clock([Client()] * 2), [1, 1], needed=1) == set()  # a tie is in time


def test_nobody_in_time_costs_the_deadline():
    clock = Clock([Client()] * 2)
    assert trained(clock, [4, 5], deadline_s=3) == {0, 1}
    assert clock.now == 3
    assert trained(Clock([]), []) == set()


def test_the_time_of_each_client_adds_up():
    away = Client(compute_factor=2, online=spans("", "2-100"))
    clock = Clock([LINK, away, Client()])
    traffic = [Traffic(0, 10**6, 10**6, 1), Traffic(1, 0, 0, 50), Traffic(2, 0, 0, 1)]
    clock.close_round(1, "train", traffic, deadline_s=20)
    rows = clock.client_rows()
    for row in rows:
        parts = [row[f"{phase}_s"] for phase in ("receiving", "training", "sending", "idle")]
        assert min(parts) >= 0
        assert sum(parts) == pytest.approx(clock.now)
    assert rows[1]["training_s"] == pytest.approx(clock.now - 2)  # cut off at the end of the round
    assert [row["late"] for row in rows] == [0, 1, 0]
    assert rows[2]["idle_s"] == pytest.approx(clock.now - 1)


def test_a_clock_goes_on_from_its_state():
    one, other = (Clock([LINK, Client()]) for _ in range(2))
    trained(one, [1, 5], deadline_s=3)
    other.load_state_dict(one.state_dict())
    for clock in (one, other):
        trained(clock, [1, 1])
    assert (other.now, other.timeline) == (one.now, one.timeline)
    assert other.client_rows() == one.client_rows()


def test_settings_are_checked():
    with pytest.raises(ConfigError, match=r"clock.over_selection=0.5 is not allowed"):
        ClockConfig(over_selection=0.5)
    assert ClockConfig(deadline_s=1).drops_replies
    assert not ClockConfig().drops_replies
