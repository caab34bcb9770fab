"""The collaborators of the endpoints, created once per process and handed to the application."""

from dataclasses import dataclass
from typing import cast

from flask import current_app

from database.database import Database
from jobs.settings import Settings
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from jobs.store.load_failures import LoadFailures
from jobs.store.outbox import Outbox
from jobs.store.prediction_store import PredictionStore
from jobs.store.task_sender import TaskSender
from model.catalog import Catalog
from web.auth.service import Auth, create_auth
from web.held_keys import HeldKeys
from web.jobs.notifications import JobNotifications
from web.prediction_client import PredictionClient
from web.server.limits import ConcurrencyLimits
from web.server.metrics import RequestMetrics, ServiceMetrics

_NAME = "scoreline"


@dataclass(frozen=True, slots=True)
class Services:
    """What the endpoints delegate to."""

    settings: Settings
    catalog: Catalog
    store: JobStore
    outbox: Outbox
    database: Database
    sender: TaskSender
    notifications: JobNotifications
    stored_predictions: PredictionStore
    load_failures: LoadFailures
    predictions: PredictionClient
    request_metrics: RequestMetrics
    service_metrics: ServiceMetrics
    limits: ConcurrencyLimits
    held_keys: HeldKeys
    auth: Auth


def create_services(settings: Settings) -> Services:
    """Create the services from the settings; connections are made on first use."""
    redis = connect(settings)
    database = Database(settings.database_location)
    stored, limits = PredictionStore(redis, settings), ConcurrencyLimits.among(settings.web_threads)
    return Services(
        settings=settings,
        catalog=Catalog(settings.models_dir, settings.default_model),
        store=JobStore(redis, settings),
        outbox=Outbox(redis, settings.full_ratio),
        database=database,
        sender=TaskSender(redis, settings),
        notifications=JobNotifications(redis, limits.waiting),
        stored_predictions=stored,
        load_failures=LoadFailures(redis),
        predictions=PredictionClient(stored, settings.store_timeout_seconds, limits.predictions),
        request_metrics=RequestMetrics(settings.counters_dir),
        service_metrics=ServiceMetrics(redis, settings.full_ratio),
        limits=limits,
        held_keys=HeldKeys(),
        auth=create_auth(settings, redis, database),
    )


def services() -> Services:
    """Return the services of the current application."""
    return cast(Services, current_app.extensions[_NAME])
