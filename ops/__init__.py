"""What runs Scoreline on one machine: starting, supervising, the embedded server, backups."""
