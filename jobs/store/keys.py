"""Every key that Scoreline keeps in Redis, and how long each lives. Celery's keys have the prefix ``BROKER_PREFIX``.

Lifetimes: a job's keys live as long as its upload may stand still, and from its end on for the retention time; single
predictions as the settings say; the rest is renewed as long as someone uses it.
"""

import hashlib
from dataclasses import dataclass

PREFIX = "scoreline:"
BROKER_PREFIX = f"{PREFIX}broker:"

JOBS = f"{PREFIX}jobs"  # sorted set: ids of the jobs that show, by creation time; lives as long as the last job
UNFINISHED = f"{PREFIX}unfinished"  # sorted set: ids of uploads and jobs not ended, by creation time; likewise
CHANGES = f"{PREFIX}changes"  # channel: the id of each job that changed
PREDICTIONS = f"{PREFIX}predictions"  # sorted set: ids of predictions not yet done, by the time to send them again
TOTALS = f"{PREFIX}totals"  # hash: what the service has done since it was first used; 90 days from its last use
RECONCILER = f"{PREFIX}reconciler"  # string: the process whose turn it is to reconcile; ALIVE_SECONDS

ALIVE_SECONDS = 5
REPLY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class JobKeys:
    """The keys of one job. They live and die together."""

    job: str
    input: str
    output: str
    rejects: str
    inflight: str
    leases: str
    counts: str
    summary: str

    @classmethod
    def of(cls, job_id: str) -> "JobKeys":
        """Keys of the job with this id."""
        base = job(job_id)
        return cls(
            job=base,  # hash: the job's fields
            input=f"{base}:input",  # hash: chunk number -> rows not yet scored
            output=f"{base}:output",  # hash: chunk number -> scored rows
            rejects=f"{base}:rejects",  # hash: chunk number -> lines of the rejects file
            inflight=f"{base}:inflight",  # sorted set: chunk number -> when to send it again
            leases=f"{base}:leases",  # hash: chunk number -> task that works on it
            counts=f"{base}:counts",  # hash: failures, losses and sendings of chunks; hosts without the model
            summary=f"{base}:summary",  # hash: counts of predictions, probabilities and faults
        )

    def all(self) -> list[str]:
        """All of them, the job's hash first: the order in which the Lua scripts take them."""
        return [
            self.job,
            self.input,
            self.output,
            self.rejects,
            self.inflight,
            self.leases,
            self.counts,
            self.summary,
        ]


def queue(name: str) -> str:
    """List of Celery's messages for the workers of one queue."""
    return f"{BROKER_PREFIX}{name}"


def job(job_id: str) -> str:
    """Hash of one job; its other keys begin with this one."""
    return f"{PREFIX}job:{job_id}"


def idempotency(key: str) -> str:
    """Hash of one idempotency key: the upload's token, then its job and fingerprint; renewed, then kept as the job."""
    return f"{PREFIX}idempotency:{hashlib.sha256(key.encode()).hexdigest()}"


def prediction(prediction_id: str) -> str:
    """Hash of one single prediction: its request, then its result."""
    return f"{PREFIX}prediction:{prediction_id}"


def reply(reply_to: str) -> str:
    """List on which the workers put the answers to one batch of a web process; REPLY_SECONDS."""
    return f"{PREFIX}reply:{reply_to}"


def alive(role: str) -> str:
    """Sorted set of the processes of a role that show signs of life, by the time until which that holds."""
    return f"{PREFIX}alive:{role}"
