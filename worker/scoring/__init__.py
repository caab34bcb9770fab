"""From a chunk's bytes to its results. Pure."""
