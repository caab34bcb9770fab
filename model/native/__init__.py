"""Models in the file formats of other libraries, as scikit-learn estimators."""
