"""Models are found, versions are published whole, and only files of models are ever opened."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest

import model
from model.card import Card, sample_csv
from model.catalog import Catalog
from model.errors import BrokenModel, UnknownModel
from model.files import sha256_of
from model.scorer import Scorer


def publish_variant(catalog: Catalog, name: str, content: bytes) -> Card:
    """Publish a card of the income model for another artifact, under another name."""
    sha256 = sha256_of(content)
    changes = {"name": name, "artifact_sha256": sha256, "version": sha256[:12]}
    card = catalog.card("income").model_copy(update=changes)
    file = catalog.directory.parent / "artifact"
    file.write_bytes(content)
    catalog.publish(card, file)
    return card


def test_the_default_model_is_the_one_without_a_name(catalog: Catalog) -> None:
    card = catalog.card()
    assert card == catalog.card("income") == catalog.card("income", card.version)
    assert catalog.names() == ["income"]
    assert catalog.artifact_path() == catalog.directory / "income" / card.version / "model.skops"
    assert card.version == sha256_of(catalog.artifact_path().read_bytes())[:12]


@pytest.mark.parametrize(
    "name", ["nope", "", "..", "../income", "income/..", ".", "/etc", "a" * 500, "in\0come", "Ünïcode"]
)
def test_an_unknown_model_is_named_with_those_there_are(catalog: Catalog, name: str) -> None:
    with pytest.raises(UnknownModel, match="there are: income"):
        catalog.card(name)
    with pytest.raises(UnknownModel):
        Scorer.load(catalog, name)


@pytest.mark.parametrize("version", ["000000000000", "../income", "current"])
def test_an_unknown_version(catalog: Catalog, version: str) -> None:
    with pytest.raises(UnknownModel):
        catalog.card("income", version)


def test_an_empty_directory_has_no_models(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "none", "income")
    assert catalog.names() == []
    with pytest.raises(UnknownModel, match="none yet"):
        catalog.card()


def test_a_new_version_and_a_new_model_show_without_a_restart(own_catalog: Catalog) -> None:
    reader = Catalog(own_catalog.directory, "income")
    before = reader.card()
    after = publish_variant(own_catalog, "income", b"another artifact")
    publish_variant(own_catalog, "churn", b"a third")
    assert reader.card() == after != before
    assert reader.card("income", before.version) == before
    assert reader.names() == ["churn", "income"]


def test_versions_are_listed_the_newest_first_broken_ones_with_the_reason(own_catalog: Catalog) -> None:
    older = own_catalog.card()
    newer = publish_variant(own_catalog, "income", b"another artifact")
    newest = older.model_copy(update={"trained_at": "2999-01-01T00:00:00Z", "artifact_sha256": "f" * 64})
    newest = newest.model_copy(update={"version": "ffffffffffff"})
    newest.save(own_catalog.directory / "income" / newest.version / "card.json")
    (own_catalog.directory / "income" / ".half-way").mkdir()
    found = {version.version: version for version in own_catalog.versions("income")}
    assert next(iter(found)) == newest.version
    assert set(found) == {older.version, newer.version, newest.version}
    assert [name for name, version in found.items() if version.current] == [newer.version]
    assert (found[older.version].broken, found[newer.version].broken) == (None, None)
    assert "is missing" in str(found[newest.version].broken)
    assert found[newest.version].card == newest
    with pytest.raises(UnknownModel, match=f"there are: .*{older.version}"):
        own_catalog.card("income", "eeeeeeeeeeee")
    with pytest.raises(UnknownModel):
        own_catalog.versions("nothing")


def test_a_version_can_be_requested_while_the_current_one_is_unknown(own_catalog: Catalog) -> None:
    card = own_catalog.usable_card()
    (own_catalog.directory / "income" / "current").write_text("!")
    with pytest.raises(BrokenModel, match="income/current should hold a version"):
        own_catalog.usable_card()
    assert own_catalog.usable_card("income", card.version) == card
    assert [version.current for version in own_catalog.versions("income")] == [False]


def test_an_unreadable_file_is_broken_and_its_path_is_not_revealed(own_catalog: Catalog) -> None:
    artifact = own_catalog.artifact_path()
    artifact.unlink()
    artifact.mkdir()
    with pytest.raises(BrokenModel, match="cannot be read: Is a directory") as caught:
        own_catalog.usable_card()
    assert str(own_catalog.directory) not in str(caught.value)


def test_publishing_leaves_only_whole_versions(own_catalog: Catalog) -> None:
    card = publish_variant(own_catalog, "churn", b"an artifact")
    publish_variant(own_catalog, "churn", b"an artifact")
    folder = own_catalog.directory / "churn"
    assert sorted(entry.name for entry in folder.iterdir()) == sorted([card.version, "current"])
    assert sorted(entry.name for entry in (folder / card.version).iterdir()) == ["card.json", "model.skops"]


def test_a_card_of_another_artifact_is_not_published(own_catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"another artifact")
    with pytest.raises(BrokenModel, match="not the card"):
        own_catalog.publish(own_catalog.card(), tmp_path / "other")


def test_a_broken_model_is_said_to_be_broken_not_unknown(own_catalog: Catalog) -> None:
    path = own_catalog.artifact_path().with_name("card.json")
    path.write_text('{"name": "income"}')
    with pytest.raises(BrokenModel, match="not a model card"):
        own_catalog.card()
    path.unlink()
    with pytest.raises(BrokenModel, match="missing"):
        own_catalog.card()
    assert own_catalog.names() == ["income"]


def test_a_scorer_refuses_an_altered_or_missing_artifact(own_catalog: Catalog) -> None:
    path = own_catalog.artifact_path()
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BrokenModel, match="altered"):
        Scorer.load(own_catalog)
    path.unlink()
    with pytest.raises(BrokenModel, match="cannot be read"):
        Scorer.load(own_catalog)


def test_a_card_comes_back_as_it_was_saved(card: Card, tmp_path: Path) -> None:
    card.save(tmp_path / "card.json")
    assert Card.load(tmp_path / "card.json") == card


def test_the_sample_is_a_valid_csv_of_real_records(card: Card) -> None:
    header, *records = csv.reader(io.StringIO(sample_csv(card)))
    assert header == [feature.name for feature in card.features]
    assert len(records) == 20
    for record in records:
        assert card.record_schema.validate_record(dict(zip(header, record, strict=True)))[1] == []
    assert all(record[0].isdecimal() for record in records)
    assert sample_csv(card, rows=3).count("\n") == 4


def test_what_the_web_reads_loads_no_scientific_library() -> None:
    code = "import sys, model.schema, model.card, model.catalog, model.census.train; print(*sys.modules)"
    root = Path(model.__file__).parents[1]
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=root)
    assert not {"numpy", "pandas", "sklearn", "scipy", "pyarrow", "skops"} & set(loaded.stdout.split())
