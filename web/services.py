"""The collaborators that every request may need, made once per process and handed to the application."""

from dataclasses import dataclass
from typing import cast

from flask import current_app

from jobs.settings import Settings
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from jobs.store.prediction_store import PredictionStore
from jobs.store.task_sender import TaskSender
from model.catalog import Catalog
from web.jobs.notifications import Watcher
from web.prediction_client import PredictionClient
from web.server.heartbeat import Heartbeat
from web.server.limits import Places
from web.server.metrics import RequestMetrics, ServiceMetrics

_NAME = "scoreline"


@dataclass(frozen=True, slots=True)
class Services:
    """What the endpoints delegate to."""

    settings: Settings
    catalog: Catalog
    store: JobStore
    sender: TaskSender
    watcher: Watcher
    stored_predictions: PredictionStore
    predictions: PredictionClient
    request_metrics: RequestMetrics
    service_metrics: ServiceMetrics
    places: Places
    heartbeat: Heartbeat


def create_services(settings: Settings) -> Services:
    """Connect to what the settings name; nothing is contacted before it is needed."""
    redis = connect(settings)
    stored, places = PredictionStore(redis, settings), Places.among(settings.web_threads)
    return Services(
        settings=settings,
        catalog=Catalog(settings.models_dir, settings.default_model),
        store=JobStore(redis, settings),
        sender=TaskSender(redis, settings),
        watcher=Watcher(redis, places.waiting),
        stored_predictions=stored,
        predictions=PredictionClient(stored, settings.store_timeout_seconds, places.predictions),
        request_metrics=RequestMetrics(settings.counters_dir),
        service_metrics=ServiceMetrics(redis, settings.full_ratio),
        places=places,
        heartbeat=Heartbeat(redis),
    )


def services() -> Services:
    """The services of the application that handles this request."""
    return cast(Services, current_app.extensions[_NAME])
