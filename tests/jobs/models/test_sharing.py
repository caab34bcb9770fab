"""Models of several hosts: one publishes, all have it, verified; nobody trusts what only the store says."""

import json
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobs.errors import DamagedBlob, NotShared, SharingRefused
from jobs.models.manifest import Manifest
from jobs.settings import Settings
from jobs.store import keys
from tests.jobs.models.conftest import Host
from tests.object_store import files_in


def test_a_fresh_host_needs_nothing_but_the_address_of_the_store(hosts: list[Host]) -> None:
    one, two, _ = hosts
    one.make("income", "1a")
    assert one.sharing.synchronise() == two.sharing.synchronise() == []
    assert two.has("income", "1a")
    assert two.folder.contents("income", "1a") == one.folder.contents("income", "1a")


def test_what_one_host_adds_is_used_by_all(hosts: list[Host]) -> None:
    one, two, three = hosts
    one.make("income", "1a")
    for host in hosts:
        host.sharing.synchronise()
    before = three.sharing.registry.revision()
    two.add("iris", "2a")
    two.add("iris", "2b")
    assert three.sharing.registry.revision() > before
    for host in hosts:
        host.sharing.synchronise()
        assert host.has("iris", "2b")
        assert host.has("income", "1a")
    two.sharing.registry.set_default("iris")
    one.sharing.synchronise()
    assert one.folder.default() == "iris"


def test_of_several_hosts_that_train_the_same_model_the_first_one_wins(hosts: list[Host]) -> None:
    for host, version in zip(hosts, ("1a", "1b", "1a"), strict=True):
        host.make("income", version, trained_at=str(host.folder.path))
    for host in hosts:
        host.sharing.synchronise()
    for host in hosts:
        assert host.has("income", "1a")
        assert host.folder.contents("income", "1a") == hosts[0].folder.contents("income", "1a")
    assert hosts[0].sharing.registry.get("income").versions.keys() == {"1a"}  # type: ignore[union-attr]


def test_a_host_that_was_away_does_not_bring_an_old_version_back(hosts: list[Host]) -> None:
    one, two, _ = hosts
    one.add("iris", "1a")
    two.sharing.synchronise()
    one.add("iris", "1b")
    two.sharing.synchronise()
    assert two.has("iris", "1b")
    one.sharing.synchronise()
    assert one.has("iris", "1b")


def test_after_an_upgrade_of_the_library_the_newer_version_is_shared(hosts: list[Host]) -> None:
    """Hosts are upgraded one by one: those that still are old do not undo what the new ones did."""
    one, two, _ = hosts
    one.make("income", "1a", made_with="1.9.1")
    one.sharing.synchronise()
    two.sharing.synchronise()
    two.make("income", "1b", made_with="1.10.0")
    two.sharing.synchronise()
    assert two.has("income", "1b")
    one.sharing.synchronise()
    assert one.has("income", "1b")
    one.make("income", "1c", made_with="1.9.1")
    one.sharing.synchronise()
    assert one.has("income", "1b")


def test_who_only_fetches_does_not_share_the_newer_version_before_workers_do(hosts: list[Host]) -> None:
    """The recorder is upgraded first: workers that are still old could not load what it has."""
    one, two, three = hosts
    one.make("income", "1a", made_with="1.9.1")
    one.sharing.synchronise()
    two.make("income", "1b", made_with="1.10.0")
    two.make("other", "1a", made_with="1.10.0")
    for _ in range(2):
        assert two.sharing.synchronise(publishes=False) == []
        one.sharing.synchronise()
    assert one.has("income", "1a")
    assert one.folder.names() == ["income"]
    assert two.has("income", "1b")
    assert three.sharing.synchronise(publishes=False) == []
    assert three.has("income", "1a")
    two.sharing.synchronise()  # its first worker
    one.sharing.synchronise()
    assert one.has("income", "1b")
    assert one.has("other", "1a")


def test_a_version_that_a_job_needs_is_fetched_by_its_name(hosts: list[Host]) -> None:
    one, two, _ = hosts
    one.add("iris", "1a")
    one.add("iris", "1b")
    two.sharing.fetch("iris", "1a")
    assert two.folder.contents("iris", "1a")
    with pytest.raises(NotShared, match=r"^the store has no version 'zz' of model 'iris'$"):
        two.sharing.fetch("iris", "zz")


def test_removed_versions_and_models_go_everywhere(hosts: list[Host], redis: Any, tmp_path: Path) -> None:
    one, two, _ = hosts
    one.add("iris", "1a")
    two.sharing.synchronise()
    one.add("iris", "1b")
    two.sharing.synchronise()
    one.make("other", "9a")
    one.sharing.registry.remove("iris", "1b")  # the current one stays
    one.sharing.registry.remove("iris", "1a")
    two.sharing.synchronise()
    assert two.folder.versions("iris") == ["1b"]
    one.sharing.registry.remove("iris")
    two.sharing.synchronise()
    assert two.folder.names() == []
    one.sharing.synchronise()
    assert one.folder.names() == ["other"]
    assert not [path for path in files_in(tmp_path / "share") if "iris" in str(path)]
    assert not [key for key in redis.scan_iter(f"{keys.blob('')}*") if b"iris" in key]


def test_an_empty_store_takes_no_models_away(hosts: list[Host], redis: Redis) -> None:
    """One that was replaced, or that came back from a backup: what hosts have is published again."""
    one, two, _ = hosts
    one.add("iris", "1a")
    two.add("other", "1a")
    for host in (one, two, one):
        host.sharing.synchronise()
    redis.flushall()
    for host in (one, two, one):
        host.sharing.synchronise()
    for host in (one, two):
        assert host.has("iris", "1a")
        assert host.has("other", "1a")


def test_what_was_removed_can_be_added_again(hosts: list[Host]) -> None:
    one, two, _ = hosts
    one.add("iris", "1a")
    two.sharing.synchronise()
    one.sharing.registry.remove("iris")
    two.sharing.synchronise()
    assert two.folder.names() == []
    one.add("iris", "1a")
    for host in (two, one):
        host.sharing.synchronise()
        assert host.has("iris", "1a")


def test_a_model_may_have_any_name(hosts: list[Host]) -> None:
    for name in ("version", "revision", "current"):
        hosts[0].add(name, "1a")
    hosts[1].sharing.synchronise()
    assert hosts[1].folder.names() == ["current", "revision", "version"]


def test_types_are_trusted_by_each_host_and_not_by_the_store(
    hosts: list[Host], redis: Redis, settings: Settings, tmp_path: Path
) -> None:
    hosts[0].add("odd", "1a", trusted=["my.Type"])
    [refusal] = hosts[1].sharing.synchronise()
    assert refusal.startswith("odd 1a needs types that this host does not trust; if you know who made it, add to")
    assert refusal.endswith("SCORELINE_TRUSTED_TYPES: my.Type")
    assert hosts[1].folder.names() == []
    with pytest.raises(SharingRefused, match="does not trust"):
        hosts[1].sharing.fetch("odd", "1a")
    for trusted in ("my.Type", "everything"):
        trusting = Host(tmp_path / trusted, redis, settings, trusted)
        assert trusting.sharing.synchronise() == []
        assert trusting.has("odd", "1a")


def test_a_module_is_a_program_and_needs_trust_of_its_own(hosts: list[Host]) -> None:
    one, two, _ = hosts
    one.make("own", "1a")
    (one.folder.path / "own" / "1a" / "module.py").write_text("print('hello')")
    one.sharing.publish("own")
    [refusal] = two.sharing.synchronise()
    assert "needs a module, which is a program" in refusal


def test_bytes_that_were_altered_are_not_installed(hosts: list[Host], redis: Any, tmp_path: Path) -> None:
    one, two, _ = hosts
    one.add("iris", "1a")
    for path in files_in(tmp_path / "share"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    for key in redis.scan_iter(f"{keys.blob('')}*"):
        redis.setrange(key, 10, b"?????")
    [refusal] = two.sharing.synchronise()
    assert refusal.endswith("of iris 1a was altered in the storage")
    assert two.folder.names() == []
    with pytest.raises(DamagedBlob):
        two.sharing.fetch("iris", "1a")


@pytest.mark.parametrize("bad", ["../../outside", "a/b", "", ".hidden"])
def test_the_store_cannot_name_places_outside_the_folder(bad: str) -> None:
    with pytest.raises(SharingRefused):
        Manifest.decode("iris", bad, b'{"files": {"card.json": [1, "' + b"0" * 64 + b'"]}}')
    with pytest.raises(SharingRefused):
        Manifest.decode("iris", "1a", json.dumps({"files": {"card.json": [1, "0" * 64], bad: [1, "0" * 64]}}).encode())


def test_a_damaged_cache_is_repaired(hosts: list[Host]) -> None:
    one, two, _ = hosts
    one.add("iris", "1a")
    two.sharing.synchronise()
    folder = two.folder.path / "iris" / "1a"
    (folder / "model.skops").unlink()
    (folder / "published.json").unlink()
    two.sharing.fetch("iris", "1a")
    assert two.folder.contents("iris", "1a") == one.folder.contents("iris", "1a")
