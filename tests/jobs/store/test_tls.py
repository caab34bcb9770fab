"""A store reached through TLS: our connections and Celery's take it only with a certificate that they can verify."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from jobs.settings import Settings
from jobs.store.connection import connect
from tests.servers import binary_of, running
from tests.stack import free_port
from tests.tls import Certificates, make_certificates, tls_tunnel
from worker.celery_app import create_celery


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def authority(certificates: Certificates) -> Path:
    return certificates.authority


@pytest.fixture(scope="module")
def address(server: Settings, certificates: Certificates) -> Iterator[str]:
    with tls_tunnel(certificates, server.embedded_socket) as port:
        yield f"rediss://127.0.0.1:{port}/0"


def by_us(settings: Settings) -> None:
    with connect(settings) as redis:
        redis.ping()


def by_celery(settings: Settings) -> None:
    with create_celery(settings).connection_for_read() as connection:
        connection.default_channel.client.ping()


REFUSALS = (RedisError, OperationalError)
WAYS = pytest.mark.parametrize("reach", [by_us, by_celery])


@WAYS
def test_a_certificate_of_the_configured_authority_is_accepted(
    address: str, authority: Path, reach: Callable[[Settings], None]
) -> None:
    reach(Settings(redis_url=address, redis_ca=authority))
    reach(Settings(redis_url=f"{address}?ssl_ca_certs={authority}"))


@WAYS
def test_a_certificate_of_an_unknown_authority_is_refused(address: str, reach: Callable[[Settings], None]) -> None:
    with pytest.raises(REFUSALS, match="certificate verify failed"):
        reach(Settings(redis_url=address))


@WAYS
def test_a_certificate_of_another_host_is_refused(
    server: Settings, tmp_path: Path, reach: Callable[[Settings], None]
) -> None:
    certificates = make_certificates(tmp_path, host="192.0.2.1")
    with (
        tls_tunnel(certificates, server.embedded_socket) as port,
        pytest.raises(REFUSALS, match="certificate"),
    ):
        reach(Settings(redis_url=f"rediss://127.0.0.1:{port}/0", redis_ca=certificates.authority))


def test_a_server_that_speaks_tls_itself_wants_a_certificate_of_the_client(
    certificates: Certificates, tmp_path: Path
) -> None:
    options = {
        "tls-port": str(free_port()),
        "tls-cert-file": str(certificates.certificate),
        "tls-key-file": str(certificates.key),
        "tls-ca-cert-file": str(certificates.authority),
    }
    own = f"ssl_certfile={certificates.certificate}&ssl_keyfile={certificates.key}"
    foreign = make_certificates(tmp_path)
    theirs = f"ssl_certfile={foreign.certificate}&ssl_keyfile={foreign.key}"
    with running(binary_of("redis-7"), tmp_path / "server", options):
        address = f"rediss://127.0.0.1:{options['tls-port']}/0"
        for reach in (by_us, by_celery):
            reach(Settings(redis_url=f"{address}?{own}", redis_ca=certificates.authority))
            for wrong in (f"{address}?{theirs}", address):
                with pytest.raises(REFUSALS):
                    reach(Settings(redis_url=wrong, redis_ca=certificates.authority))
            with pytest.raises(REFUSALS, match="certificate verify failed"):
                reach(Settings(redis_url=f"{address}?{own}", redis_ca=foreign.authority))
