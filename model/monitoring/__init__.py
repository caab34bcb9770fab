"""Whether records are like the training data, and whether models agree."""
