"""Actual outcomes: read a file of them, and find what was predicted."""
