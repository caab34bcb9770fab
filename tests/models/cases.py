"""All cases, by name."""

from tests.models import (
    cases_bad,
    cases_boosters,
    cases_codes,
    cases_columns,
    cases_estimators,
    cases_files,
    cases_onnx,
    cases_tables,
    cases_targets,
)
from tests.models.case import Case

MODULES = (
    cases_tables,
    cases_estimators,
    cases_targets,
    cases_columns,
    cases_boosters,
    cases_codes,
    cases_files,
    cases_onnx,
    cases_bad,
)
CASES: dict[str, Case] = {case.name: case for module in MODULES for case in module.CASES}
assert len(CASES) == sum(len(module.CASES) for module in MODULES), "two cases have the same name"
