"""Detokenization, and nothing else: the DEK cache and the one flat loop over a batch."""
