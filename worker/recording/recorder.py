"""The recorder: writes the outbox to the database. Run as ``python -m worker.recording.recorder``."""

import os
import signal
import sys
import threading
import time
from functools import partial

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from database.audit import copy_events
from database.database import Database
from database.errors import DatabaseTooNew, DatabaseUnavailable, UnsuitableDatabase
from database.history_writer import write_history
from jobs.availability import redis_availability
from jobs.logs import configure_logging, describe
from jobs.models.sharing import ModelSharing
from jobs.models.watcher import keep_models_in_sync
from jobs.settings import Settings, get_settings
from jobs.store.connection import connect
from jobs.store.heartbeat import Heartbeat, Node
from jobs.store.outbox import Outbox, OutboxEntry
from jobs.store.server_check import refuse_unsuitable_store
from model.catalog import Catalog
from worker.recording.entries import to_batch
from worker.recording.live_figures import live_metrics, refresh_weeks
from worker.recording.model_changes import ModelChanges, told_changes
from worker.recording.retention import delete_expired
from worker.recording.upgrade import upgrade

log = structlog.stdlib.get_logger(__name__)

# What a batch costs besides its entries, such as syncing it to the disk that predictions wait for, is shared by more.
INTERVAL_SECONDS = 2.0
_MEASURE_SECONDS, _FORGET_SECONDS, _REPORT_SECONDS = 60.0, 3600.0, 30.0
_MAX_ENTRIES, _MAX_BYTES = 500, 4 * 1024 * 1024
# A batch that takes longer keeps others from writing to a SQLite file, such as somebody who signs in.
_BATCH_SECONDS = 0.25
# What an entry that is not the store's own, or that no database can hold, raises.
_UNWRITABLE = (SQLAlchemyError, ValueError, KeyError, TypeError, AttributeError, OverflowError)


class BatchSize:
    """How many entries are written at once: fewer while scoring leaves this process little time."""

    def __init__(self) -> None:
        self.entries = _MAX_ENTRIES

    def adapt(self, seconds: float) -> None:
        """Halve the next batch if the last one took too long, and else double it."""
        is_slow = seconds > _BATCH_SECONDS
        self.entries = max(1, self.entries // 2) if is_slow else min(_MAX_ENTRIES, self.entries * 2)


class Recorder:
    """Moves entries from the outbox to the database, in batches, in order, and without losing or doubling any."""

    def __init__(self, outbox: Outbox, database: Database) -> None:
        self._outbox, self._database = outbox, database
        self._away_since: float | None = None
        self._measure_again = self._forget_again = self._report_again = 0.0
        self._reported: str | None = None
        self._is_tidy = False
        self._size = BatchSize()

    def measure(self, catalog: Catalog) -> None:
        """Compute the figures of weeks with new outcomes, and tell the web about them; an outage waits for later."""
        try:
            has_news = refresh_weeks(self._database, catalog)
            if has_news or time.monotonic() > self._measure_again:
                self._measure_again = time.monotonic() + _MEASURE_SECONDS
                self._outbox.report_live([metric.as_dict() for metric in live_metrics(self._database, catalog)])
        except (DatabaseUnavailable, DatabaseTooNew) as error:
            self._note_outage(error)

    def copy_changes(self, changes: ModelChanges) -> None:
        """Copy changes of models to the audit log; an outage waits for later."""
        try:
            changes.copy()
        except (DatabaseUnavailable, DatabaseTooNew) as error:
            self._note_outage(error)

    def forget(self, days: int) -> None:
        """Delete what is older than so many days, a limited number of entries at a time."""
        if self._is_tidy and time.monotonic() < self._forget_again:
            return
        try:
            self._is_tidy = delete_expired(self._database, days)
            self._forget_again = time.monotonic() + _FORGET_SECONDS
        except (DatabaseUnavailable, DatabaseTooNew) as error:
            self._note_outage(error)

    def run_round(self) -> int:
        """Record until the outbox is empty; return the number of entries. An outage ends the round.

        Raises:
            RedisError: the store does not answer.
        """
        done = 0
        try:
            while entries := self._outbox.read(self._size.entries, _MAX_BYTES):
                # Removed once they are written. After a crash in between they are written again, which changes nothing.
                self._outbox.remove(entries, failed=self._write(entries))
                done += len(entries)
        except (DatabaseUnavailable, DatabaseTooNew) as error:
            self._note_outage(error)
            return done
        self._note_success()
        return done

    def _write(self, entries: list[OutboxEntry]) -> int:
        """Write the entries, all at once or, if one of them is at fault, each alone; return how many failed."""
        try:
            self._write_batch(entries)
        except _UNWRITABLE as error:
            if len(entries) > 1:
                return sum(self._write([entry]) for entry in entries)
            log.error("not recorded", entry=entries[0].id, kind=entries[0].fields.get("kind"), exc_info=error)  # noqa: TRY400
            return 1
        return 0

    def _write_batch(self, entries: list[OutboxEntry]) -> None:
        batch, changes = to_batch(entries), list(told_changes(entries))
        with self._database.writing() as connection:
            began = time.monotonic()
            write_history(connection, batch)
            copy_events(connection, changes)
        self._size.adapt(time.monotonic() - began)

    def _note_outage(self, error: Exception) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            log.warning("the database cannot be written to; scoring goes on", error=describe(error))
        self._report(str(error))
        if dropped := self._outbox.make_room():
            log.error("history dropped: the store is nearly full and the database is away", entries=dropped)

    def _note_success(self) -> None:
        if self._away_since is not None:
            log.warning("the database can be written to again", seconds=round(time.monotonic() - self._away_since, 1))
            self._away_since = None
        self._report(None)

    def _report(self, fault: str | None) -> None:
        """Tell the web what ails the database, now and then, and at once if that has changed."""
        if fault != self._reported or time.monotonic() > self._report_again:
            self._outbox.report(fault)
            self._reported, self._report_again = fault, time.monotonic() + _REPORT_SECONDS


def run(settings: Settings, stop: threading.Event) -> None:
    """Record every two seconds until ``stop`` is set, through outages of the store and of the database."""
    redis, database = connect(settings), Database(settings.database_location)
    heartbeat = Heartbeat(redis, "recorder", Node.of_this_process())
    # In a thread, since a round may take longer than a heartbeat may be late.
    threading.Thread(target=heartbeat.keep_beating, args=(stop,), daemon=True, name="heartbeat").start()
    outbox = Outbox(redis, settings.full_ratio)
    # What outcomes are compared with stands in the cards of models, some of which other hosts have added. The models
    # of this host are for workers to publish: in an upgrade, those that are still old could not load them.
    fetch_models = partial(ModelSharing.of(redis, settings).synchronise, publishes=False)
    keep_models_in_sync(settings, stop, fetch_models)
    catalog = Catalog(settings.models_dir, settings.default_model)
    changes = ModelChanges(catalog, database)
    recorder, is_upgraded = Recorder(outbox, database), False
    while not stop.is_set():
        try:
            if outbox.is_turn_to_record(heartbeat.node):
                # The database may be away at the start.
                is_upgraded = is_upgraded or upgrade(database)
                recorder.run_round()
                recorder.copy_changes(changes)
                recorder.measure(catalog)
                recorder.forget(settings.history_days)
            redis_availability.record_success()
        except RedisError as error:
            redis_availability.record_failure(error)
        stop.wait(INTERVAL_SECONDS)


def main() -> int:
    """Run until SIGTERM or SIGINT, then return 0; return 1, after one line, if the database cannot be used."""
    settings = get_settings()
    configure_logging(settings, "recorder")
    refuse_unsuitable_store(settings)
    # Scoring goes first.
    os.nice(19)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, partial(_stop, stop))
    try:
        run(settings, stop)
    except (DatabaseTooNew, UnsuitableDatabase) as error:
        print(f"scoreline: {error}", file=sys.stderr)
        return 1
    return 0


def _stop(stop: threading.Event, *_: object) -> None:
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
