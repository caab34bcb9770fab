"""CSV files of every dialect, with every fault at every place, made by hypothesis; they know what they hold."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hypothesis import strategies as st

from model.schema import Feature, FeatureKind

T = TypeVar("T")
Draw = Callable[[st.SearchStrategy[T]], T]

NOTE, ID = "née", "id"
# Stands where a file's bytes do not decode, until its text is encoded.
UNDECODABLE = "\ue000"
MISSING = ["", "?", "NA", "N/A", "n/a", "NaN", "null", "NULL", "none", "None", "  "]
NO_NUMBERS = ["abc", "1,234", "39,5", "0x10", "３９", "inf", "-inf", "1e999", "1_0", "4 0", "--1", "+", ".", "1e", "٣"]
MALFORMED = ['"x"y', '"said \\"hi\\" to me"', '"ends so \\""', "one\rtwo", "\rone", '""x', '"a" ', '"x"y"z"']
NOTES = ["", "note", 'a 6" nail', 'a "b" c', "=1+1", "007", "\\", 'x"', "it's", " padded ", "é€", "-", '\\"']
QUOTED_NOTES = [
    "a,b;c\td|e",
    'say ""hi""',
    "two\nlines",
    "two\r\nlines",
    "",
    '""',
    "\r",
    "\n\n",
    "é",
    'x\\""y',
    "\n39,",
]


@dataclass(frozen=True)
class Made:
    """A record as it stands in a file, and what it must be rejected with: as a whole, or (code, column), in order."""

    text: str
    whole: str | None
    faults: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class File:
    """A file's bytes, and what is known of it."""

    data: bytes
    encoding: str
    delimiter: str
    records: tuple[Made, ...]


@st.composite
def csv_files(draw: Draw[T], features: tuple[Feature, ...], most: int = 6) -> File:
    """A file that can be read, with records that are fine and others that are not."""
    delimiter = draw(st.sampled_from(",;\t|"))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "cp1252"]))
    columns = draw(st.permutations([feature.name for feature in features] + [NOTE, ID]))
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    made = draw(st.lists(records(features, columns, delimiter, encoding), min_size=1, max_size=most))
    spelt = delimiter.join(draw(spellings(name)) for name in columns)
    lead = draw(
        st.sampled_from(["", "\n", "\r\n\n", f"sep={delimiter}\n", f"sep={delimiter}\r\n", f'"sep={delimiter}"\n'])
    )
    gaps = draw(
        st.lists(st.sampled_from([line_end] * 6 + [2 * line_end, "\n", "\r\n"]), min_size=len(made), max_size=len(made))
    )
    last = draw(st.sampled_from([line_end, "", "\n\n"]))
    body = "".join(gap + record.text for gap, record in zip(gaps, made, strict=True))
    text = lead + spelt + body + last
    return File(encoded(text, encoding), encoding, delimiter, tuple(made))


def encoded(text: str, encoding: str) -> bytes:
    """The text in its encoding, with bytes that it does not know where the text says so."""
    wrong = {"utf-16-le": b"\x00\xd8", "utf-16-be": b"\xd8\x00", "cp1252": b"\x81"}.get(encoding, b"\xc3")
    mark = "\ufeff".encode(encoding) if encoding.startswith("utf-16") else b""
    parts = text.split(UNDECODABLE)
    first = parts[0].encode(encoding)
    plain = "utf-8" if encoding == "utf-8-sig" else encoding
    return mark + wrong.join([first, *(part.encode(plain) for part in parts[1:])])


@st.composite
def spellings(draw: Draw[T], name: str) -> str:
    """A header as people may spell it."""
    spelt = name.replace("_", draw(st.sampled_from(["_", ".", "-", " ", "  "])))
    spelt = draw(st.sampled_from([str.lower, str.upper, str.title]))(spelt)
    spelt = draw(st.sampled_from(["{}", " {}", "{} ", "{}"])).format(spelt)
    return f'"{spelt}"' if draw(st.booleans()) else spelt


@st.composite
def records(draw: Draw[T], features: tuple[Feature, ...], columns: list[str], delimiter: str, encoding: str) -> Made:
    """A record: fine, with faulty values, or broken as a whole."""
    fields = {feature.name: draw(good(feature)) for feature in features} | {ID: draw(st.sampled_from(["007", "a b"]))}
    fields = {name: draw(written(text, delimiter)) for name, text in fields.items()}
    fields[NOTE] = draw(notes(delimiter, encoding))
    kind = draw(st.sampled_from(["fine", "fine", "values", "values", "ragged", "malformed", "undecodable"]))
    faults: dict[str, str] = {}
    if kind == "values":
        for feature in draw(
            st.lists(st.sampled_from(features), min_size=1, max_size=3, unique_by=lambda one: one.name)
        ):
            code, text = draw(bad(feature, encoding, delimiter))
            fields[feature.name] = draw(written(text, delimiter))
            faults[feature.name] = code
    elif kind == "malformed":
        at = draw(st.sampled_from([NOTE, ID, features[0].name]))
        fields[at] = draw(st.sampled_from(MALFORMED))
    elif kind == "undecodable":
        fields[NOTE] = draw(st.sampled_from([UNDECODABLE, f"a{UNDECODABLE}b", f'"{UNDECODABLE}"', UNDECODABLE * 2]))
    listed = [fields[name] for name in columns]
    if kind in ("ragged", "malformed"):  # of which each line would be a record of its own
        listed = [text.replace("\r\n", " ").replace("\n", " ") for text in listed]
    if kind == "ragged":
        listed = draw(ragged(listed))
    text = delimiter.join(listed)
    whole = kind if kind in ("ragged", "malformed", "undecodable") else None
    return Made(text, whole, tuple((faults[one.name], one.name) for one in features if one.name in faults))


@st.composite
def ragged(draw: Draw[T], fields: list[str]) -> list[str]:
    """Fields of which some are gone, or some too many; never a blank line."""
    if draw(st.booleans()):
        return fields + draw(st.lists(st.sampled_from(["", "x", '"y"', '"a;b"', '"q ""w"""']), min_size=1, max_size=3))
    kept = fields[: draw(st.integers(1, len(fields) - 1))]
    return kept if len(kept) > 1 or kept[0] else ["x"]


@st.composite
def written(draw: Draw[T], text: str, delimiter: str) -> str:
    """A value as a field: quoted where it must be, and where somebody likes to."""
    if any(mark in text for mark in (delimiter, "\n", "\r")) or text.startswith('"') or draw(st.booleans()):
        return '"' + text.replace('"', '""') + '"'
    return text


@st.composite
def notes(draw: Draw[T], delimiter: str, encoding: str) -> str:
    """A field of nobody's feature, with all that a field may hold."""
    if draw(st.booleans()):
        return '"' + draw(st.sampled_from(QUOTED_NOTES)) + '"'
    return draw(written(draw(st.sampled_from(NOTES)), delimiter))


def good(feature: Feature) -> st.SearchStrategy[str]:
    """Texts that mean a value of the feature."""
    if feature.kind is FeatureKind.CATEGORY:
        words = st.sampled_from(feature.categories).flatmap(
            lambda word: st.sampled_from([word, word.upper(), word.lower(), f" {word} ", f"{word}\t"])
        )
        return words | st.sampled_from(MISSING) if feature.missing_allowed else words
    numbers = st.integers(int(feature.minimum or 0), int(feature.maximum or 99))
    forms = ["{}", " {} ", "{}.0", "{}.", "+{}", "0{}", "{}e0", "{}.000", "{}0e-1", "{}E+00"]
    return numbers.flatmap(lambda number: st.sampled_from([form.format(number) for form in forms]))


def bad(feature: Feature, encoding: str, delimiter: str) -> st.SearchStrategy[tuple[str, str]]:
    """Texts that mean no value of the feature, each with its code."""
    kinds = []
    if not feature.missing_allowed:
        kinds += [("missing", text) for text in MISSING]
    if feature.kind is FeatureKind.CATEGORY:
        kinds += [("unknown_category", text) for text in ("Bachelor", "x" * 120, "39", "'", 'a "b"', "?!", "fémale")]
    else:
        kinds += [
            ("not_a_number", text)
            for text in NO_NUMBERS
            # Where no commas separate fields, they may be decimal commas.
            if (encoding != "cp1252" or text.isascii()) and (delimiter == "," or "," not in text)
        ]
        kinds += [("not_an_integer", text) for text in ("39.5", "4e-1", "39.0000001")]
        kinds += [("out_of_range", text) for text in ("-1", "1000", "1e30", "0", "1e2", "9" * 120)]
    return st.sampled_from(kinds)
