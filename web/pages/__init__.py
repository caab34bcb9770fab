"""The HTML pages and the pure functions that prepare what they show."""
