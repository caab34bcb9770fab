"""What the web and the workers share: settings, job states, messages, the store and reading CSV."""
