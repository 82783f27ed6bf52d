"""How long hypothesis searches: always the same examples, or a random search.

A test tries 150 examples, always the same. OPTOUT_HYPOTHESIS=short, which `make unit` sets, tries
fewer of them. OPTOUT_HYPOTHESIS=long tries 2,000 new examples, OPTOUT_HYPOTHESIS=50000 that many.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "short",
    settings.get_profile("ci"),
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.register_profile(
    "long", deadline=None, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow]
)
wanted = os.environ.get("OPTOUT_HYPOTHESIS", "ci")
if wanted.isdigit():
    settings.register_profile(wanted, settings.get_profile("long"), max_examples=int(wanted))
settings.load_profile(wanted)
