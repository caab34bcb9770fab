"""Processes that start at once: forks of a process that has loaded their programs, which takes up to half a second."""
