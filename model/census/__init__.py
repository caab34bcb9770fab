"""The two models that ship: their data, features and training."""
