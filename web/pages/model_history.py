"""A model's charts by week, from the counts that the history keeps."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection

from database.column_types import week_of
from database.history import weekly_counts
from model.card import Card
from model.errors import ModelError
from web.pages.evaluation import Plot
from web.pages.history_charts import drift_plot, plots
from web.services import services

_WEEKS = 26
# With more features, the counts of their values are too many to read for a page.
_MAX_DRIFT_FEATURES = 100


def charts(connection: Connection, model: str, version: str | None) -> list[Plot]:
    """Return the charts of a model, or of one version of it."""
    card = find_card(model)
    with_values = card is not None and len(card.features) <= _MAX_DRIFT_FEATURES
    return plots(weekly_counts(connection, model, _since(), version, with_values), _cards_of(model))


def drift_chart(connection: Connection, card: Card) -> Plot | None:
    """Return the chart of data drift of all versions of a model; None without data, or with too many features."""
    if len(card.features) > _MAX_DRIFT_FEATURES:
        return None
    return drift_plot(weekly_counts(connection, card.name, _since()), _cards_of(card.name))


def find_card(model: str, version: str | None = None) -> Card | None:
    """Return the card of a version (None: the current one); None if it is gone or broken."""
    try:
        return services().catalog.card(model, version)
    except ModelError:
        return None


def _cards_of(model: str) -> Callable[[str], Card | None]:
    return lambda version: find_card(model, version)


def _since() -> date:
    return week_of(datetime.now(UTC) - timedelta(weeks=_WEEKS))
