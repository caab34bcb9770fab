"""The HTML pages, and what they show, in words and figures."""
