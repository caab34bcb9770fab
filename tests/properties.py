"""How many examples property tests take: some in ``make test``, and as many as asked for in ``make fuzz``."""

import os
from typing import Any

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
_SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def examples(usual: int, long: int = 0) -> Any:
    """Settings of a property test; ``long`` is the least number in ``make fuzz``."""
    number = max(EXAMPLES, long) if EXAMPLES else usual
    return settings(max_examples=number, deadline=None, suppress_health_check=_SUPPRESSED)
