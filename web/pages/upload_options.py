"""The options of the upload form: the choices of its fields, and which of them were made."""

from collections.abc import Iterable

from web.uploads.parameters import UploadForm

_DETECT = ("", "Detect")
ENCODINGS = (
    _DETECT,
    ("utf-8", "UTF-8"),
    ("cp1252", "Western European (Windows-1252)"),
    ("iso8859-15", "Western European (ISO 8859-15)"),
    ("cp1250", "Central European (Windows-1250)"),
    ("cp1251", "Cyrillic (Windows-1251)"),
    ("cp1253", "Greek (Windows-1253)"),
    ("cp1254", "Turkish (Windows-1254)"),
    ("utf-16-le", "UTF-16, little-endian"),
    ("utf-16-be", "UTF-16, big-endian"),
    ("gb18030", "Chinese (GB 18030)"),
    ("big5", "Chinese (Big5)"),
    ("shift_jis", "Japanese (Shift JIS)"),
    ("euc_kr", "Korean (EUC-KR)"),
    ("mac-roman", "Mac Roman"),
)
DELIMITERS = (
    _DETECT,
    (",", "Comma (,)"),
    (";", "Semicolon (;)"),
    ("\t", "Tab"),
    ("|", "Vertical bar (|)"),
    ("^", "Caret (^)"),
    ("~", "Tilde (~)"),
    (" ", "Spaces"),
)
DECIMALS = (_DETECT, (".", "Point (1.5)"), (",", "Comma (1,5)"))
_NAMES = ("model", "explain", "encoding", "delimiter", "decimal", "drop_results")


def comparisons(own: str, others: Iterable[str]) -> list[tuple[str, str]]:
    """Return the choices of a second model: values of ``model`` with their labels."""
    return [(own, "No other model"), *((f"{own},{other}", other) for other in others)]


def typed_options(form: UploadForm) -> dict[str, str]:
    """Return the options that were chosen in a form."""
    options = {name: getattr(form, name) for name in _NAMES if getattr(form, name)}
    return options if options.keys() - {"model"} or "," in options.get("model", "") else {}
