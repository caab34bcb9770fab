"""Models: training, artifacts, cards, schemas, validation and scoring. Imports nothing of web, worker or jobs."""
