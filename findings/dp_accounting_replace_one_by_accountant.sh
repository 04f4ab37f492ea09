#!/usr/bin/env bash
# dp-accounting 0.6.0: epsilon of one GaussianDpEvent for neighbours of which one record is another (REPLACE_ONE).
#
# Guess: both accountants answer the same question. The one of Renyi divergences gives an upper bound, some percent above
# the tight one of privacy losses. Where a relation does not fit an event, UnsupportedEventError is raised.
# Behaviour: the event says that each value is at most C long, and noise is noise_multiplier times C. To replace one
# value moves the sum by 2 C, and PLDAccountant counts with that. RdpAccountant takes the relation, without a word, and
# counts with C, as for ADD_OR_REMOVE_ONE. Its bound is less than half of the exact epsilon, and noise that
# is chosen by it is half of what is needed. For an event that is Poisson-sampled it does refuse the relation.
# Output seen: "ADD_OR_REMOVE_ONE: RDP 4.73, PLD 4.38, exact 4.38; REPLACE_ONE: RDP 4.73, PLD 10.00, exact 10.00"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check dp-accounting==0.6.0 numpy==2.4.6 scipy==1.17.1
OMP_NUM_THREADS=1 "$place/venv/bin/python" - <<'PY'
import dp_accounting
import numpy as np
from dp_accounting import pld, rdp
from scipy.optimize import brentq
from scipy.stats import norm

DELTA = 1e-5


def exact(shift):
    """Epsilon of the Gaussian mechanism for two sums that are `shift` standard deviations apart."""

    def excess(epsilon):
        a, b = norm.cdf(shift / 2 - epsilon / shift), norm.logcdf(-shift / 2 - epsilon / shift)
        return a - np.exp(epsilon + b) - DELTA

    return brentq(excess, 0, 100)


found, texts = {}, []
for relation, shift in (("ADD_OR_REMOVE_ONE", 1), ("REPLACE_ONE", 2)):
    values = []
    for kind in (rdp.RdpAccountant, pld.PLDAccountant):
        accountant = kind(neighboring_relation=dp_accounting.NeighboringRelation[relation])
        accountant.compose(dp_accounting.GaussianDpEvent(noise_multiplier=1))
        values.append(float(accountant.get_epsilon(DELTA)))
    found[relation] = (*values, exact(shift))
    texts.append(f"{relation}: RDP {values[0]:.2f}, PLD {values[1]:.2f}, exact {exact(shift):.2f}")
print("; ".join(texts))
bound, tight, right = found["ADD_OR_REMOVE_ONE"]
assert right - 0.01 < tight < right + 0.01 < bound
bound, tight, right = found["REPLACE_ONE"]
assert abs(tight - right) < 0.01
assert bound < right / 2, "the bound is one now: this finding is out of date"
PY
