"""The recorder: writes what has ended from the store to the database."""
