"""What requests read of jobs: lists, events, summaries, downloads."""
