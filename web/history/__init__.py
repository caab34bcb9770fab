"""Jobs and predictions after their results have expired: queries, documents, exports and deletion."""
