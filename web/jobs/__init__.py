"""Reading jobs: lists, events, summaries, downloads."""
