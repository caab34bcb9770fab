"""Blob storage: the same bytes come back from Redis, a shared folder and S3, and each fault is one clear line."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.blobs.object_blobs import ObjectBlobs
from jobs.blobs.redis_blobs import RedisBlobs
from jobs.blobs.storage import BlobStorage
from jobs.errors import DamagedBlob, StorageFull, StorageUnavailable, UnsuitableStorage
from jobs.store.connection import connect
from tests.object_store import ObjectServer, object_server, refusing_server
from tests.stack import free_port

pytestmark = pytest.mark.running

SECONDS = 1.0
BYTES = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def objects() -> Iterator[ObjectServer]:
    with object_server() as server:
        yield server


@pytest.fixture(params=["redis", "file", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStorage]:
    if request.param == "redis":
        with connect(request.getfixturevalue("server")) as redis:
            redis.flushall()
            yield RedisBlobs(redis)
    elif request.param == "file":
        yield ObjectBlobs(f"file://{tmp_path}", SECONDS)
    else:
        objects: ObjectServer = request.getfixturevalue("objects")
        yield ObjectBlobs(objects.create_bucket(f"bucket-{os.urandom(4).hex()}"), SECONDS)


def test_what_is_put_comes_back(storage: BlobStorage) -> None:
    storage.put("jobs/one/0", BYTES)
    storage.put("jobs/one/1", b"")
    assert storage.get("jobs/one/0") == BYTES
    assert storage.get("jobs/one/1") == b""
    storage.put("jobs/one/0", b"again")
    assert storage.get("jobs/one/0") == b"again"


def test_a_range_is_read_alone(storage: BlobStorage) -> None:
    storage.put("models/a/1/model.skops", BYTES)
    assert storage.get_range("models/a/1/model.skops", 300, 900) == BYTES[300:900]
    assert storage.get_range("models/a/1/model.skops", 7, 7) == b""
    with pytest.raises((DamagedBlob, StorageUnavailable)):
        storage.get_range("models/a/1/model.skops", len(BYTES) - 1, len(BYTES) + 1)


def test_a_folder_holds_what_lies_below_it_and_nothing_of_its_neighbours(storage: BlobStorage) -> None:
    keys = ["jobs/a/0", "jobs/a/source/0", "jobs/ab/0", "jobs/b", "models/a/0"]
    for key in keys:
        storage.put(key, b"x")
    assert sorted(storage.keys_in("jobs/a/")) == ["jobs/a/0", "jobs/a/source/0"]
    assert storage.folders_in("jobs/") == ["a", "ab"]
    assert list(storage.keys_in("nothing/")) == storage.folders_in("nothing/") == []
    storage.delete_folder("jobs/a/")
    assert sorted(storage.keys_in("jobs/")) == ["jobs/ab/0", "jobs/b"]
    storage.delete(["jobs/ab/0", "jobs/ab/none", "jobs/b"])
    assert list(storage.keys_in("jobs/")) == []
    assert storage.get("models/a/0") == b"x"


def test_many_blobs_are_listed_and_deleted(storage: BlobStorage, request: pytest.FixtureRequest) -> None:
    """More than a page of them, where that does not take a thousand requests."""
    count = 30 if "s3" in request.node.callspec.id else 1100
    keys = {f"jobs/many/{number:04}" for number in range(count)}
    for key in keys:
        storage.put(key, b"")
    assert set(storage.keys_in("jobs/many/")) == keys
    storage.delete_folder("jobs/many/")
    assert list(storage.keys_in("jobs/many/")) == []


def test_a_blob_that_is_gone_is_named(storage: BlobStorage) -> None:
    storage.put("jobs/a/0", b"x")
    with pytest.raises(DamagedBlob, match=r"^jobs/a/1 is gone from \S+( \S+)?$"):
        storage.get("jobs/a/1")


@pytest.mark.parametrize("url", ["ftp://host/x", "s3//bucket", "nonsense", "file://host/folder", "redis://x:1"])
def test_what_is_no_address_of_a_storage_is_refused(url: str) -> None:
    with pytest.raises(StorageUnavailable, match="is not an address of blob storage: s3://"):
        ObjectBlobs(url, SECONDS)


def test_a_folder_that_does_not_exist_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match=f"^there is no folder {tmp_path}/share; create it, or mount it$"):
        ObjectBlobs(f"file://{tmp_path}/share", SECONDS)
    assert not (tmp_path / "share").exists()


def test_a_folder_that_was_unmounted_is_unavailable_and_nothing_is_gone(tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    storage = ObjectBlobs(f"file://{share}", SECONDS)
    storage.put("jobs/a/0", b"x")
    share.rename(tmp_path / "away")
    with pytest.raises(StorageUnavailable):
        storage.get("jobs/a/0")


def test_a_bucket_that_does_not_exist_is_named(objects: ObjectServer) -> None:
    storage = ObjectBlobs("s3://no-such-bucket/data", SECONDS)
    for call in (lambda: storage.put("a/b", b""), lambda: storage.get("a/b"), lambda: list(storage.keys_in("a/"))):
        with pytest.raises(StorageUnavailable, match=r"^s3://no-such-bucket/data does not exist$"):
            call()


def test_a_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with pytest.raises(StorageUnavailable, match=r"^s3://bucket/data does not answer$"):
        ObjectBlobs("s3://bucket/data", SECONDS).put("a/b", b"")


RIGHTS = r"refuses access: check the credentials and their rights \((403|401) \w+ "
REFUSALS = {
    "403 AccessDenied": (UnsuitableStorage, RIGHTS + r"AccessDenied\)$"),
    "403 SignatureDoesNotMatch": (UnsuitableStorage, RIGHTS + r"SignatureDoesNotMatch\)$"),
    "401 Unauthorized": (UnsuitableStorage, RIGHTS + r"Unauthorized\)$"),
    "403 RequestTimeTooSkewed": (
        UnsuitableStorage,
        r"refuses access: set the clock of this host \(403 \w+ \w+\)$",
    ),
    "507 XMinioStorageFull": (StorageFull, "is full$"),
    "403 QuotaExceeded": (StorageFull, "is full$"),
    "500 InternalError": (StorageUnavailable, "answers 500 Internal Server Error InternalError$"),
}


@pytest.mark.parametrize("answer", REFUSALS)
def test_what_a_server_refuses_is_one_line(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    status, _, code = answer.partition(" ")
    error, text = REFUSALS[answer]
    with refusing_server(int(status), code) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        storage = ObjectBlobs("s3://bucket/data", SECONDS)
        for call in (
            lambda: storage.put("a/b", b"12345"), lambda: storage.get("a/b"),
            lambda: list(storage.keys_in("a/")), lambda: storage.folders_in("a/"),
        ):  # fmt: skip
            with pytest.raises(error, match=rf"^s3://bucket/data {text}") as raised:
                call()
            assert type(raised.value) is error
            assert "\n" not in str(raised.value)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full_or_read_only_is_named_and_keeps_nothing_of_it(disk: Path) -> None:
    storage = ObjectBlobs(f"file://{disk}", SECONDS)
    storage.put("jobs/a/0", b"x")
    with pytest.raises(StorageFull, match=f"^file://{disk} is full$"):
        storage.put("jobs/a/1", bytes(200_000))
    assert list(storage.keys_in("jobs/")) == ["jobs/a/0"]
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(StorageUnavailable, match=f"^file://{disk} cannot be used: read-only file system$"):
        storage.put("jobs/a/2", b"x")
    assert storage.get("jobs/a/0") == b"x"


def test_secrets_in_an_address_are_not_told() -> None:
    with pytest.raises(StorageUnavailable) as raised:
        ObjectBlobs("ftp://user:secret@host/x?token=secret", SECONDS)
    assert "secret" not in str(raised.value)


def test_a_child_of_a_process_that_used_an_object_store_does_not_hang(tmp_path: Path) -> None:
    """Its threads do not survive a fork: without this check, the child would wait for them forever."""
    storage = ObjectBlobs(f"file://{tmp_path}", SECONDS)
    storage.put("a/b", b"x")
    child = os.fork()
    if not child:
        try:
            storage.get("a/b")
        except RuntimeError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
