"""What can be wrong with a header, in the words of the API. Pure."""

from collections.abc import Iterable, Sequence

from jobs.errors import Detail, UploadRefused


def no_header(columns: Iterable[str], where: str = "") -> UploadRefused | None:
    """Return the refusal of a header that holds none of the features: None unless it looks like data.

    ``where`` says which line was taken as the header.
    """
    if not any(name.strip().replace(".", "", 1).isdecimal() for name in columns):
        return None
    detail = "the first line holds data; a header row with the columns' names is needed"
    return UploadRefused("no_header", f"{detail}; {where}" if where else detail)


def missing_columns(missing: Sequence[tuple[str, str | None]], models: Sequence[str], hint: str = "") -> UploadRefused:
    """Return the refusal of a file without these columns, each given with a header that is close to it, if any."""
    errors = [
        Detail("missing_columns", f"column {name!r} is missing", name, did_you_mean=close) for name, close in missing
    ]
    who = " and ".join(repr(model) for model in models)
    subject = f"models {who} need" if len(models) > 1 else f"model {who} needs"
    names = ", ".join(name for name, _ in missing)
    return UploadRefused("missing_columns", f"{subject} columns that are missing: {names}{hint}", errors)


def duplicate_columns(names: Sequence[str]) -> UploadRefused:
    """Return the refusal of a file in which several columns hold the same feature; ``names`` are the duplicates."""
    errors = [
        Detail("duplicate_columns", f"{name!r} is a duplicate column: another one holds the same feature", name)
        for name in names
    ]
    return UploadRefused("duplicate_columns", f"duplicate columns: {', '.join(names)}", errors)
