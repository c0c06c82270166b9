"""Detokenization, and nothing else: the DEK cache and the one flat loop over a batch.

`issued` says whether a token with limits of its own is followed.
"""
