"""What stays: ended jobs, single predictions, their outcomes, and who may do what. Redis holds what runs."""
