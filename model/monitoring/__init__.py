"""Data drift against the training data, and agreement between models."""
