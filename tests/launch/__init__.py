"""How Scoreline is started and kept running: the supervisor, the embedded server, the launcher, Makefile and Docker."""
