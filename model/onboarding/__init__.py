"""Add a fitted pipeline with its training data as a model."""
