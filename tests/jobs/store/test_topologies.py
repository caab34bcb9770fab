"""Addresses of several servers: our connections and Celery's find the primary, also after another one has become it."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from jobs.errors import NotDurable
from jobs.messages import Queue, ScoreChunk
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.address import InvalidAddress, StoreAddress, Topology
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from jobs.store.server_check import StoreCheck
from jobs.store.task_sender import TaskSender
from ops.embedded import server_binary
from tests.jobs.store.conftest import found, upload
from tests.servers import Cluster, Replicated, clustered, watched_by_sentinels
from tests.stack import wait_until
from worker.celery_app import create_celery


@pytest.fixture(scope="module")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    with watched_by_sentinels(server_binary(), tmp_path_factory.mktemp("replicated")) as servers:
        yield servers


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clustered(server_binary(), tmp_path_factory.mktemp("cluster"), keys.JOBS) as nodes:
        yield nodes


def received_by_celery(settings: Settings) -> dict[str, Any]:
    """The arguments of the next task, taken from the queue as a worker takes it."""
    with create_celery(settings).connection_for_read() as connection:
        message = connection.SimpleQueue(Queue.BULK.value).get(timeout=30)
        message.ack()
        return dict(message.decode()[1])


def score_a_chunk(settings: Settings) -> str:
    """Upload a job, send its chunk through Celery, and return the job's id."""
    with connect(settings, patient=True) as redis:
        assert StoreCheck(redis, settings).faults() == []
        store = JobStore(redis, settings)
        job_id = upload(store, 1)
        wait_until(lambda: is_confirmed(store, job_id))
        TaskSender(redis, settings).score_chunks(job_id, [0])
        assert received_by_celery(settings) == ScoreChunk(job_id, 0).encode()
        assert store.claim(job_id, 0, "task") is not None
        return job_id


def test_sentinels_lead_to_the_primary(replicated: Replicated) -> None:
    settings = Settings(redis_url=replicated.address, store_replicas=1)
    job_id = score_a_chunk(settings)
    with connect(settings) as redis:
        assert redis.connection_pool.get_master_address()[1] == replicated.primary().port
    for server in replicated.servers:
        with server.client as redis:
            assert redis.exists(keys.job(job_id)) == 1


def test_a_client_that_waits_follows_a_primary_that_steps_down(replicated: Replicated) -> None:
    """As for maintenance: the former primary answers on, as a replica."""
    settings, former = Settings(redis_url=replicated.address), replicated.primary()
    with connect(settings, patient=True) as redis, replicated.sentinels[0].client as sentinel:
        job_id = upload(JobStore(redis, settings), 1)
        wait_until(replicated.has_replica)
        sentinel.sentinel_failover("scoreline")
        wait_until(lambda: replicated.primary() is not former)
        wait_until(lambda: former.client.info("replication")["role"] == "slave")
        assert found(JobStore(redis, settings), job_id).chunks == 1
        assert JobStore(redis, settings).claim(job_id, 0, "task") is not None
        wait_until(replicated.has_replica)
        score_a_chunk(settings)


def is_confirmed(store: JobStore, job_id: str) -> bool:
    """Whether a replica has the job in time, which it may not have on a busy machine."""
    with suppress(NotDurable):
        store.confirm(job_id)
        return True
    return False


def test_an_upload_that_no_replica_has_is_not_acknowledged(replicated: Replicated) -> None:
    settings = Settings(redis_url=replicated.address, store_replicas=1, store_timeout_seconds=1)
    primary = replicated.primary()
    [replica] = [server for server in replicated.servers if server is not primary]
    with connect(settings) as redis:
        store = JobStore(redis, settings)
        acknowledged = upload(store, 1)
        wait_until(lambda: is_confirmed(store, acknowledged))
        replica.kill()
        job_id = upload(store, 1)
        with pytest.raises(NotDurable, match=r"0 of 1 replicas"):
            store.confirm_or_remove(job_id)
        assert store.get(job_id) is None
        assert found(store, acknowledged).chunks == 1
        wait_until(lambda: redis.info("replication")["connected_slaves"] == 0)
        with pytest.raises(NotDurable, match=r"0 of 1 replicas"):
            store.check_room()
        replica.start_again()
        wait_until(replicated.has_replica)
        store.check_room()
        wait_until(lambda: is_confirmed(store, acknowledged))


def test_a_cluster_keeps_everything_on_one_node(cluster: Cluster) -> None:
    settings = Settings(redis_url=cluster.address)
    job_id = score_a_chunk(settings)
    for node in cluster.nodes:
        with node.client as redis:
            if node is not cluster.replica:
                assert (redis.dbsize() > 0) == (node is cluster.owner)
    with connect(settings) as redis:
        assert found(JobStore(redis, settings), job_id).chunks == 1


def test_one_node_of_a_cluster_leads_to_the_others(cluster: Cluster) -> None:
    for node in cluster.nodes:
        with connect(Settings(redis_url=f"cluster://{node.address}")) as redis:
            assert redis.exists(keys.TOTALS) in (0, 1)


def test_a_replica_of_a_cluster_takes_over(cluster: Cluster) -> None:
    settings = Settings(redis_url=cluster.address)
    with connect(settings, patient=True) as redis:
        job_id = upload(JobStore(redis, settings), 1)
        cluster.replica.client.execute_command("CLUSTER FAILOVER")
        wait_until(lambda: cluster.replica.client.info("replication")["role"] == "master")
        assert found(JobStore(redis, settings), job_id).chunks == 1
        score_a_chunk(settings)


def test_a_cluster_behind_the_address_of_one_server_is_refused(cluster: Cluster) -> None:
    settings = Settings(redis_url=f"redis://{cluster.owner.address}", store_risks="accept")
    with connect(settings) as redis:
        faults = StoreCheck(redis, settings).faults()
    assert faults[0] == "it is part of a cluster, whose address begins with cluster:// instead of redis://"


def ours(settings: Settings) -> None:
    with connect(settings) as redis:
        redis.ping()


def celerys(settings: Settings) -> None:
    with create_celery(settings).connection_for_read() as connection:
        connection.default_channel.client.ping()


@pytest.mark.parametrize("reach", [ours, celerys])
@pytest.mark.parametrize("scheme", ["sentinel", "cluster"])
def test_nobody_answers(scheme: str, reach: Callable[[Settings], None]) -> None:
    with pytest.raises((RedisError, OperationalError)):
        reach(Settings(redis_url=f"{scheme}://127.0.0.1:1,127.0.0.1:2/{'' if scheme == 'cluster' else 'name'}"))


def test_an_address_of_several_servers_has_all_that_one_server_has() -> None:
    address = StoreAddress.parse("sentinel+tls://me:p%40ss@one,[::1]:5,three:7/name/3?ssl_certfile=c.pem")
    assert (address.topology, address.tls, address.service, address.database) == (Topology.SENTINEL, True, "name", 3)
    assert address.nodes == (("one", 26379), ("::1", 5), ("three", 7))
    assert (address.username, address.password, address.query) == ("me", "p@ss", "ssl_certfile=c.pem")
    assert StoreAddress.parse("cluster://one,two:7").nodes == (("one", 6379), ("two", 7))


@pytest.mark.parametrize(("url", "reason"), [
    ("http://127.0.0.1", "must begin with redis://"),
    ("127.0.0.1:6379", "must begin with redis://"),
    ("sentinel://127.0.0.1", "the name of the primary is missing"),
    ("sentinel://127.0.0.1:x/name", "each of its hosts"),
    ("sentinel://127.0.0.1,/name", "each of its hosts"),
    ("sentinel://127.0.0.1/name/x", "the number of a database"),
    ("cluster://127.0.0.1/1", "the database 0 only"),
])  # fmt: skip
def test_other_addresses_are_refused(url: str, reason: str) -> None:
    with pytest.raises(InvalidAddress, match=reason):
        StoreAddress.parse(url)
