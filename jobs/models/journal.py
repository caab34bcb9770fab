"""The journal of a folder of models on its way to the audit log, which another host may write.

``model.journal`` writes the lines and the recorder reads them; here, they are only passed on.
"""

from jobs.models.folder import ModelFolder
from jobs.store.outbox import Outbox

_JOURNAL, _TOLD = "journal.jsonl", "journal.told"


def tell_changes(folder: ModelFolder, outbox: Outbox) -> int:
    """Put the lines of the journal that are new on the outbox; return how many.

    Where that breaks off, they are told again, which changes nothing: each has an id.

    Raises:
        OSError: the folder cannot be written to, so that nobody would know what has been told.
    """
    journal, told = folder.path / _JOURNAL, folder.path / _TOLD
    if not journal.exists():
        return 0
    with folder.locked():
        content = journal.read_bytes()
        # A line may be half written, for want of space.
        lines = content[: content.rfind(b"\n") + 1]
        known = int(told.read_text()) if told.exists() else 0
        if known == len(lines):
            return 0
        # One that is shorter than before is another file.
        new = lines[known if known < len(lines) else 0 :].splitlines()
        draft = told.with_suffix(".draft")
        draft.write_text(str(len(lines)))
        outbox.add_model_changes(new)
        draft.replace(told)
        return len(new)
