"""All Redis commands, and the Lua scripts for what must be atomic."""
