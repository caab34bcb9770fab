"""The settings of every process. No other module reads the environment."""

import hashlib
import ipaddress
import os
import re
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, FilePath, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobs.store.address import StoreAddress

MIB = 1024 * 1024
# sockaddr_un holds 108 bytes on Linux and 104 on macOS, including the terminating NUL.
_MAX_SOCKET_PATH = 100
_RENAMED = {
    "SCORELINE_PREDICT_SECONDS": "SCORELINE_PREDICTION_TIMEOUT_SECONDS",
    "SCORELINE_PREDICTION_SECONDS": "SCORELINE_PREDICTION_RETENTION_SECONDS",
}
_ROLES = ("viewer", "member", "modeller", "administrator")
# A host name or IP address, without scheme, port or path.
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+|\[[0-9A-Fa-f:.]+\]")


class Settings(BaseSettings):
    """Settings and their defaults, read from ``SCORELINE_<NAME>``; the address from ``HOST`` and ``PORT``."""

    model_config = SettingsConfigDict(env_prefix="SCORELINE_", frozen=True, populate_by_name=True)

    host: str = Field("127.0.0.1", validation_alias="HOST", description="address the web listens on")
    port: int = Field(8000, ge=1, le=65535, validation_alias="PORT", description="port the web listens on")
    tls_certificate: FilePath | None = Field(
        None, description="certificate chain, a PEM file: the web speaks https; unset: http, perhaps behind a proxy"
    )
    tls_key: FilePath | None = Field(None, description="private key of the certificate, a PEM file without a password")
    hosts: str | None = Field(
        None,
        description="comma-separated host names and addresses that the web accepts besides loopback and `HOST`",
    )
    redis_url: str | None = Field(
        None,
        description="Redis or Valkey to use, see `docs/store.md`; unset: an embedded server is started",
    )
    redis_ca: FilePath | None = Field(
        None, description="certificate authorities of a server with TLS, a PEM file; unset: the system's"
    )
    store_risks: Literal["refuse", "accept"] = Field(
        "refuse", description="whether a server that may lose jobs is refused, or accepted with a warning"
    )
    store_replicas: int = Field(
        0, ge=0, description="how many replicas must have a job before its upload is acknowledged"
    )
    storage_url: str | None = Field(
        None,
        description="where the bytes of jobs lie: `s3://bucket/folder`, `gs://bucket/folder`, `az://container/folder` "
        "or `file:///shared/folder`; unset: in the Redis or Valkey server",
    )
    data_dir: Path = Field(Path("var"), description="where the embedded server's data and the models live")
    database_url: str | None = Field(
        None,
        description="SQLite file or PostgreSQL server of accounts, history and outcomes: "
        "`sqlite:////absolute/path.db` or `postgresql://user:password@host/name`; "
        "unset: a SQLite file in the data folder",
    )
    default_model: str | None = Field(
        None, description="model used where a request names none; unset: as chosen with `python -m model default`"
    )

    trusted_types: str | None = Field(
        None,
        description="comma-separated types, and SHA-256 of modules, that models fetched from other hosts may hold; "
        "`everything` trusts whoever can publish models",
    )

    web_processes: int = Field(2, ge=1, description="gunicorn worker processes")
    web_threads: int = Field(2048, ge=16, description="concurrent requests of one web process")
    bulk_processes: int = Field(os.cpu_count() or 1, ge=1, description="processes of one bulk worker")
    interactive_processes: int = Field(1, ge=1, description="processes of one interactive worker")

    chunk_bytes: int = Field(4 * MIB, ge=1, description="chunk size, in bytes of CSV")
    max_upload_bytes: int = Field(4096 * MIB, ge=1, description="largest upload, in bytes of CSV (after decompression)")
    retention_seconds: int = Field(7 * 86400, ge=60, description="how long an ended job is kept")
    history_days: int = Field(365, ge=1, description="how long ended jobs and predictions stay in the database")
    history_records: Literal["on", "off"] = Field(
        "on", description="whether the database keeps records and answers of single predictions"
    )
    upload_idle_seconds: int = Field(120, ge=1, description="how long an upload may stall before it is discarded")
    prediction_retention_seconds: int = Field(3600, ge=60, description="how long a single prediction can be fetched")
    lease_seconds: float = Field(
        5.0, gt=0, description="how long a chunk stays leased to a worker that does not renew the lease"
    )
    max_attempts: int = Field(
        3,
        ge=3,
        description="failed attempts at scoring a chunk before its rows are rejected",
    )
    model_wait_seconds: int = Field(
        60, ge=0, description="how long a job waits for a worker that can load its model before it fails"
    )
    task_seconds: int = Field(600, ge=1, description="time limit of one attempt at a chunk")
    prediction_timeout_seconds: int = Field(10, ge=1, description="time limit of one attempt at single predictions")
    worker_memory_mib: int = Field(2048, ge=256, description="memory limit of one worker process, in MiB")
    store_timeout_seconds: float = Field(2.5, gt=0, description="time limit of one Redis command")
    max_memory_mib: int = Field(4096, ge=64, description="memory limit of the embedded server")
    full_ratio: float = Field(
        0.8, gt=0, le=1, description="fraction of the store's memory limit at which uploads get 503"
    )
    max_unfinished_jobs: int = Field(1000, ge=1, description="unfinished jobs at which uploads get 429")
    max_waiting_predictions: int = Field(
        1000, ge=1, description="single predictions waiting for a worker at which the next get 429"
    )
    auth: Literal["on", "off"] | None = Field(
        None, description="whether people and programs must sign in; unset: only where `HOST` is not a loopback address"
    )
    proxies: int = Field(
        0,
        ge=0,
        description="how many proxies in front of the web set `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix`, "
        "which are ignored otherwise",
    )
    trusted_proxies: str | None = Field(
        None,
        description="comma-separated addresses and networks of these proxies (one, unless `SCORELINE_PROXIES` says "
        "more); unset: any address",
    )
    session_seconds: int = Field(7 * 86400, ge=60, description="how long a browser stays signed in")
    session_idle_seconds: int = Field(
        86400, ge=120, description="how long a browser that sends no request stays signed in"
    )
    oidc_issuer: str | None = Field(
        None,
        pattern=r"^https?://[^\s?#]+$",
        description="issuer URL of the OpenID Connect provider where users may sign in, and whose JWTs programs send",
    )
    oidc_client_id: str | None = Field(None, description="client id of Scoreline at the provider")
    oidc_client_secret: str | None = Field(None, description="client secret of Scoreline at the provider")
    oidc_name: str = Field("your organisation", description="name of the provider on the sign-in page")
    oidc_groups_claim: str = Field("groups", description="claim with the groups of a user")
    oidc_roles: str | None = Field(
        None,
        description="role of each group, `*` for everybody: `staff=viewer, analysts=member, platform=administrator`",
    )
    oidc_audience: str | None = Field(None, description="audience of the JWTs that programs send; unset: the client id")
    user_jobs: int | None = Field(
        None, ge=1, description="unfinished jobs of one user at which further uploads get 429; unset: no limit"
    )
    user_rows_per_day: int | None = Field(
        None, ge=1, description="rows that one user may send a day, in UTC; unset: no limit"
    )
    traces: str | None = Field(
        None,
        pattern=r"^[a-z_]+$",
        description="exporter of OpenTelemetry to which traces go, such as `otlp`, whose settings are `OTEL_…`; "
        "unset: traces are passed on and logged, but not exported",
    )
    log_level: str = Field("INFO", description="minimum level that is logged")
    log_format: Literal["console", "json"] = Field(
        "console", description="log format: `console` for people, `json` for programs"
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_former_names(cls, values: Any) -> Any:
        for former, name in _RENAMED.items():
            if former in os.environ:
                raise PydanticCustomError("renamed_setting", f"{former} is now called {name}; set that instead")
        return values

    @field_validator("redis_url")
    @classmethod
    def _check_store(cls, url: str | None) -> str | None:
        if url is not None:
            try:
                StoreAddress.parse(url)
            except ValueError as error:
                raise PydanticCustomError("bad_store", "{reason}", {"reason": str(error)}) from None
        return url

    @field_validator("hosts")
    @classmethod
    def _check_hosts(cls, hosts: str | None) -> str | None:
        for host in _split(hosts):
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is neither a name nor an address; leave out scheme, port and path")
        return hosts

    @field_validator("trusted_proxies")
    @classmethod
    def _check_trusted_proxies(cls, proxies: str | None) -> str | None:
        for network in _split(proxies):
            ipaddress.ip_network(network)  # its ValueError says what is wrong
        return proxies

    @field_validator("oidc_roles")
    @classmethod
    def _check_roles(cls, roles: str | None) -> str | None:
        for group, role in _split_pairs(roles):
            if not group or role not in _ROLES:
                raise ValueError(f"{group!r}={role!r} is not a group and one of the roles {', '.join(_ROLES)}")
        return roles

    @model_validator(mode="after")
    def _check_provider(self) -> "Settings":
        if self.oidc_issuer and not (self.oidc_client_id and self.oidc_roles):
            raise PydanticCustomError(
                "incomplete_provider",
                "SCORELINE_OIDC_ISSUER also needs SCORELINE_OIDC_CLIENT_ID and SCORELINE_OIDC_ROLES",
            )
        return self

    @model_validator(mode="after")
    def _check_certificate(self) -> "Settings":
        if (self.tls_certificate is None) != (self.tls_key is None):
            text = "SCORELINE_TLS_CERTIFICATE and SCORELINE_TLS_KEY go together: set both or neither"
            raise PydanticCustomError("incomplete_certificate", text)
        return self

    @property
    def scheme(self) -> str:
        """What the web speaks: ``http`` or ``https``."""
        return "https" if self.tls_certificate else "http"

    @property
    def roles_of_groups(self) -> dict[str, str]:
        """The setting ``oidc_roles`` as a dictionary."""
        return dict(_split_pairs(self.oidc_roles))

    @property
    def trusted_type_names(self) -> frozenset[str]:
        """The setting ``trusted_types`` as a set."""
        return frozenset(_split(self.trusted_types))

    @property
    def listed_hosts(self) -> list[str]:
        """The setting ``hosts`` as a list."""
        return _split(self.hosts)

    @property
    def trusted_networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """The setting ``trusted_proxies`` as networks."""
        return [ipaddress.ip_network(network) for network in _split(self.trusted_proxies)]

    @property
    def trusted_proxies_count(self) -> int:
        """How many proxies are believed."""
        return self.proxies or int(bool(self.trusted_networks))

    @property
    def only_local(self) -> bool:
        """Whether the web listens on a loopback address only."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def auth_on(self) -> bool:
        """Whether people and programs must sign in."""
        return self.auth == "on" or (self.auth is None and not self.only_local)

    @property
    def models_dir(self) -> Path:
        """Directory of the trained models."""
        return self.data_dir / "models"

    @property
    def database_location(self) -> str:
        """URL of the database, as the setting names it or of a SQLite file in the data folder."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'scoreline.db'}"

    @property
    def embedded_socket(self) -> Path:
        """Unix socket of the embedded server: in the data directory, or in a temporary one if that path is too long."""
        path = self.data_dir.resolve() / "valkey.sock"
        if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
            return path
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"scoreline-{os.getuid()}-{digest}" / "valkey.sock"

    @property
    def counters_dir(self) -> Path:
        """Directory in which the web processes share request counters; in memory (``/dev/shm``) where available."""
        memory = Path("/dev/shm")  # noqa: S108 - the name below is our own and recreated at each start
        base = memory if memory.is_dir() else Path(tempfile.gettempdir())
        digest = hashlib.sha256(f"{self.data_dir.resolve()} {self.host} {self.port}".encode()).hexdigest()[:16]
        return base / f"scoreline-{os.getuid()}-web-{digest}"

    @property
    def store_url(self) -> str:
        """URL of the Redis or Valkey server for redis-py."""
        return self.redis_url or f"unix://{self.embedded_socket}"


def _split_pairs(text: str | None) -> list[tuple[str, str]]:
    """Return name and value of each ``name=value`` between commas; the last ``=`` counts."""
    parts = [part.strip().rpartition("=") for part in (text or "").split(",") if part.strip()]
    return [(name.strip(), value.strip()) for name, _, value in parts]


def _split(hosts: str | None) -> list[str]:
    return (hosts or "").replace(",", " ").split()


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the settings of this process, read from the environment once."""
    return Settings()
