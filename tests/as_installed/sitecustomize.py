"""Hides the packages of the test requirements that libraries of a service load where they find them.

Where only the requirements are installed, structlog, scikit-learn and redis-py do without; here, they would take a
tenth of the time that a service takes to start. A service that exports traces needs the last of them.
"""

import os
import sys
from typing import Any

hidden: dict[str, Any] = {"pytest": None, "rich": None}
if "SCORELINE_TRACES" not in os.environ:
    hidden["opentelemetry"] = None
sys.modules.update(hidden)
