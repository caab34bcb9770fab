"""Models: adding, storing, validating, scoring, explaining and monitoring. Imports nothing from the other packages."""
