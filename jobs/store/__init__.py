"""Every command that goes to Redis, and the scripts of what must happen at once."""
