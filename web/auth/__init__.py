"""Who may do what: signing in, sessions, tokens, and what each role and scope allows. Does nothing with auth off."""
