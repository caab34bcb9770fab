"""Models: training, artifacts, cards, schemas, validation and scoring. Imports nothing from web, worker or jobs."""
