"""Models in file formats of their own, as scikit-learn estimators."""
