"""Bringing a pipeline: what it is, how it reads the user's table, and the proof that its answers stay its own."""
