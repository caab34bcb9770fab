"""What the web front end and the workers agree on: settings, messages, keys, the store and reading CSV."""
