"""Uploads: from the body of a request to the chunks of a job."""
