"""Pages for signing in and for accounts, tokens, users and the audit log; served only where auth is on."""
