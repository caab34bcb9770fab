"""Find records in which a quoted text begins inside an unquoted field and ends in another. Pure."""

from collections.abc import Callable

import numpy as np

from jobs.csv.quotes import Offsets, QuoteReading, first_of_equals


def crossed_records(
    quotes: QuoteReading, starts: Offsets, ends: Offsets, find_delimiters: Callable[[], Offsets]
) -> Offsets:
    """Return the indexes of the records, between ``starts`` and ``ends``, that hold such a text.

    That is: a field with an odd number of quotes, of which the last is not at its end, if the next such field of the
    record ends with a quote. ``find_delimiters`` is called if a record has ordinary quotes in two places.
    """
    ordinary = quotes.ordinary & (quotes.runs.at < ends[-1] if len(ends) else False)
    at = quotes.runs.at[ordinary]
    owners = np.searchsorted(starts, at, side="right") - 1
    # Only records with ordinary quotes in two places can hold such a text, and few have any.
    pairs = np.append(False, owners[1:] == owners[:-1])
    several = pairs | np.append(pairs[1:], False)
    if not several.any():
        return owners[:0]
    at, owners, lengths = at[several], owners[several], quotes.runs.lengths
    lengths = np.ones(len(at), np.int64) if lengths is None else lengths[ordinary][several]
    delimiters = find_delimiters()
    following = np.searchsorted(delimiters, at)
    # Each field has a number of its own: the next one differs in the delimiter after it or in its record.
    begins = first_of_equals(following + owners)
    # The number of quotes in each field: with an even one, every text that begins in it also ends in it.
    odd = np.add.reduceat(lengths, begins) % 2 == 1
    last, owners = np.append(begins[1:], len(at))[odd] - 1, owners[begins[odd]]
    # A field ends at the next delimiter, or with its record.
    field_ends = np.minimum(np.append(delimiters, ends[-1])[following[last]], ends[owners])
    at_end = at[last] + lengths[last] == field_ends
    crossed = ~at_end[:-1] & at_end[1:] & (owners[:-1] == owners[1:])
    found: Offsets = owners[:-1][crossed]
    return found
