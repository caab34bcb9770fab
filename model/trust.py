"""What ``--trust`` and the parameters named ``trust`` hold: names of types, or this word for the whole file."""

EVERYTHING = "everything"
"""Trust the whole file, whatever it may do: what ``--trust`` stands for without a type."""
