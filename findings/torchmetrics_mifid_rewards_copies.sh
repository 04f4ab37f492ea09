#!/usr/bin/env bash
# torchmetrics 1.9.0: MemorizationInformedFrechetInceptionDistance of generators that copy the training images.
#
# Guess: FID is divided by the mean cosine distance of a generated image to its nearest training image. A generator
# of nothing but copies has distance 0, and so a huge MIFID, or inf.
# Behaviour: the mean is over the training images, each to its nearest generated one. A generator that repeats one half
# of them has a large distance, above the threshold of 0.1, and is not penalised; it beats one that draws new images.
# One that copies all has an FID below 1e-8, for which the result is set to 0: the best score that there is. With real
# and fake exchanged in update(), the copies of one half are caught.
# Output seen: "new images: FID 0.38, MIFID 0.38; copies of one half: 0.18, 0.18; copies of all: 0, 0; one half, exchanged: 1.8e+13"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$place/venv/bin/python" - <<'PY'
import torch
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.mifid import MemorizationInformedFrechetInceptionDistance


class Features(torch.nn.Module):
    """Takes features as they are."""

    num_features = 64

    def forward(self, images):
        return images


torch.manual_seed(0)
train, new = torch.randn(2, 2000, 64).relu()
half = train[:1000].repeat(2, 1)


def score(kind, real, fake):
    metric = kind(Features())
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return abs(round(float(metric.compute()), 6))


def both(fake):
    kinds = (FrechetInceptionDistance, MemorizationInformedFrechetInceptionDistance)
    return [score(kind, train, fake) for kind in kinds]


fresh, some, every = both(new), both(half), both(train.clone())
exchanged = score(MemorizationInformedFrechetInceptionDistance, half, train)
print(
    f"new images: FID {fresh[0]:.2g}, MIFID {fresh[1]:.2g}; copies of one half: {some[0]:.2g}, {some[1]:.2g}; "
    f"copies of all: {every[0]:.2g}, {every[1]:.2g}; one half, exchanged: {exchanged:.1e}"
)
assert fresh[0] == fresh[1] and exchanged > 1e3
assert some[1] == some[0] < fresh[1], "copies of one half are penalised now: this finding is out of date"
assert every[1] == 0, "copies of all are penalised now: this finding is out of date"
PY
