"""Every key in the store expires."""

from typing import Any

from redis import Redis

from jobs.settings import Settings
from tests.stack import Stack


def test_every_key_has_a_lifetime_celerys_own_too(service: Stack) -> None:
    sample = service.get("/api/v1/models/income/sample.csv").content
    service.score(sample)
    assert service.upload(sample, wait=0).status_code == 202
    redis: Any = Redis.from_url(Settings(data_dir=service.folder).store_url)
    names = list(redis.scan_iter())
    assert names
    assert [name for name in names if redis.ttl(name) == -1] == []
    redis.close()
