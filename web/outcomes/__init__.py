"""What really happened: read a file of outcomes, and find what was predicted."""
