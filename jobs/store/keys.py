"""Every Redis key of Scoreline, and its lifetime. Celery's keys have the prefix ``BROKER_PREFIX``.

All keys and channels have one hash tag, so that a cluster keeps them on one node: scripts use many of them at once.
A job's keys live for as long as its upload may stall, and once it has ended for the retention time; single predictions
for the time in the settings. All others are renewed while they are in use.
"""

import hashlib
from dataclasses import dataclass

PREFIX = "{scoreline}:"
FORMER_PREFIX = "scoreline:"  # of versions whose keys had no hash tag
BROKER_PREFIX = f"{PREFIX}broker:"

JOBS = f"{PREFIX}jobs"  # sorted set: ids of visible jobs by creation time; lives as long as the last job
TEAM_JOBS = f"{JOBS}:team"  # sorted set: those of them that the team sees; likewise
UNFINISHED = (
    f"{PREFIX}unfinished"  # sorted set: ids of uploads and jobs that have not ended, by creation time; likewise
)
CHANGES = f"{PREFIX}changes:"  # prefix of a channel per job, on which each change is told
PREDICTIONS = f"{PREFIX}predictions"  # sorted set: ids of unanswered predictions by the time to send them again
TOTALS = f"{PREFIX}totals"  # hash: totals since the service was first used; 90 days from its last use
MODEL_TOTALS = f"{TOTALS}:models"  # hash: the same by version of a model; likewise
COUNTED = f"{TOTALS}:counted"  # sorted set: these versions, by when they were last used; likewise
MODELS = f"{PREFIX}models"  # hash: the last change, the default model, models there are and were; stays
BLOBS = f"{PREFIX}blobs"  # sorted set: the keys of all blobs; lives as long as these
STORAGE = f"{PREFIX}storage"  # string: name of the mark in the object store; STORAGE_SECONDS, renewed at each start
WINDOW = f"{PREFIX}window"  # string: chunks that the live bulk workers may have in flight; WINDOW_SECONDS
PROTOCOL = f"{PREFIX}protocol"  # string: of the newest version that has used the store; PROTOCOL_SECONDS
RIGHTS = f"{PREFIX}rights"  # hash: written, to find out whether that is allowed, and deleted at once
RECONCILER = f"{PREFIX}reconciler"  # string: the process that holds the reconciler lock; LOCK_SECONDS

OUTBOX = f"{PREFIX}outbox"  # stream: what the recorder has yet to write to the database; OUTBOX_SECONDS
RECORDER = f"{PREFIX}recorder"  # string: the process that holds the recorder lock; LOCK_SECONDS
HISTORY = f"{PREFIX}history"  # hash: what the recorder last found about the database; HISTORY_SECONDS
SECRET = f"{PREFIX}secret"  # string: signs what browsers keep while they fill in forms; SECRET_SECONDS
LIMITS = f"{PREFIX}limits"  # prefix of the counts of recent attempts to sign in; as long as the windows of the limits

FORMER_TOTALS = f"{FORMER_PREFIX}totals"  # there if a former version has ever been used

OUTBOX_SECONDS = 30 * 86400
HISTORY_SECONDS = 3600
SECRET_SECONDS = 10 * 365 * 86400
LOCK_SECONDS = 5
WINDOW_SECONDS = 60
HEARTBEAT_SECONDS = 5
ALIVE_SECONDS = 3 * HEARTBEAT_SECONDS
REPLY_SECONDS = 60
PUBLISHING_SECONDS = 600
STORAGE_SECONDS = 90 * 86400
PROTOCOL_SECONDS = 10 * 365 * 86400


@dataclass(frozen=True, slots=True)
class JobKeys:
    """The keys of one job. They share a lifetime."""

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
        """Return the keys of the job with this id."""
        base = job(job_id)
        return cls(
            job=base,  # hash: the job, see job_record.JobField
            input=f"{base}:input",  # hash: chunk number -> input rows until they are scored; blocks to convert
            output=f"{base}:output",  # hash: chunk number -> scored rows
            rejects=f"{base}:rejects",  # hash: chunk number -> lines of the rejects file
            inflight=f"{base}:inflight",  # sorted set: chunk number -> when to send it again
            leases=f"{base}:leases",  # hash: chunk number -> task and delivery that hold it
            counts=f"{base}:counts",  # hash: failures, lost leases and resends of chunks; failed model loads
            summary=f"{base}:summary",  # hash: counts of predictions, probability bins and faults
        )

    def all(self) -> list[str]:
        """Return all keys in the order that ``lua/common.lua`` expects."""
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
    """Return the key of a Celery queue, a list of messages."""
    return f"{BROKER_PREFIX}{name}"


def job(job_id: str) -> str:
    """Return the key of a job's hash, which is the prefix of its other keys."""
    return f"{PREFIX}job:{job_id}"


def changes(job_id: str) -> str:
    """Return the channel on which the changes of a job are told."""
    return f"{CHANGES}{job_id}"


def jobs_of(owner: str) -> str:
    """Return the key of the sorted set of an owner's visible jobs by creation time; lives as long as the last job."""
    return f"{JOBS}:owner:{owner}"


def rows_of(owner: str, day: str) -> str:
    """Return the key of the number of rows that an owner has sent on a day, as in 2026-02-03; two days."""
    return f"{PREFIX}rows:{owner}:{day}"


def decision(credential: str) -> str:
    """Return the key of who a session or token was last known to be, for outages of the database; a few minutes."""
    return f"{PREFIX}decision:{credential}"


def idempotency(key: str, owner: str = "") -> str:
    """Return the key of an idempotency key's hash: the upload's token, then its job and fingerprint.

    Each owner has keys of their own. Renewed while the upload runs, then kept as long as the job.
    """
    own = f"{owner}\n{key}" if owner else key
    return f"{PREFIX}idempotency:{hashlib.sha256(own.encode()).hexdigest()}"


def prediction(prediction_id: str) -> str:
    """Return the key of a prediction's hash: its request, then its result."""
    return f"{PREFIX}prediction:{prediction_id}"


def reply(reply_to: str) -> str:
    """Return the key of the list that receives the answers to one batch of a web process; REPLY_SECONDS."""
    return f"{PREFIX}reply:{reply_to}"


def model(name: str) -> str:
    """Return the key of a shared model's hash: its current version, and the manifests of all of them; it stays."""
    return f"{PREFIX}model:{name}"


def publishing(folder: str) -> str:
    """Return the key of the mark of an attempt to publish a version; PUBLISHING_SECONDS after its last object."""
    return f"{PREFIX}publishing:{folder}"


def blob(key: str) -> str:
    """Return the key of a blob's string; it lives until the blob is deleted."""
    return f"{PREFIX}blob:{key}"


def unloadable(node: str) -> str:
    """Return the key of a hash of the versions that a worker cannot load, with the reasons; as long as it is alive."""
    return f"{PREFIX}unloadable:{node}"


def alive(role: str) -> str:
    """Return the key of a role's sorted set of processes, by the time until which each counts as alive."""
    return f"{PREFIX}alive:{role}"
