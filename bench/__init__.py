"""Side-by-side measurements of Scoreline and of what one would take instead: ``python -m bench`` (``make bench``)."""
