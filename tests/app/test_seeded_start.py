"""Initial weights that come from the run's seed on both sides do not travel."""

import pandas as pd
import pytest

from flwr_gan.errors import CodecError
from flwr_gan.server_app import prepare_run_config

STRATEGIES = {
    "fedavg": "strategy=fedavg federation.rounds=2",
    "sparse_fedavg": "strategy=sparse_fedavg federation.rounds=2",
    "federated_ticket": "evaluation=none",
}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_initial_weights_are_confirmed_by_their_hash(simulate, strategy):
    settings = f"{STRATEGIES[strategy]} evaluation=none codec_down=topk:0.1+int4"
    folder = simulate(f"{settings} seeded_start=true")
    rounds = pd.read_csv(folder / "rounds.csv")
    assert not rounds.failures.any()
    messages = pd.read_csv(folder / "messages.csv")
    down = messages[messages.direction == "down"].set_index("round").payload_bytes
    assert down[1].max() < 60 < down[2].min()


def test_codecs_without_a_stage_on_updates_are_refused(tmp_path):
    with pytest.raises(CodecError, match=r"seeded_start=True beside codec_down=sparse: it needs"):
        prepare_run_config(f"seeded_start=true output_dir={tmp_path}", None)
