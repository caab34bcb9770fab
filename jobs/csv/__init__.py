"""From bytes to records: decoding, dialects, cutting at record ends. Pure."""
