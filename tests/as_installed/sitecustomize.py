"""Hides the packages of the test requirements that libraries of a service load where they find them.

Where only the requirements are installed, structlog and scikit-learn do without; here, they would take a tenth of the
time that a service takes to start.
"""

import sys
from typing import Any

hidden: dict[str, Any] = {"pytest": None, "rich": None}
sys.modules.update(hidden)
