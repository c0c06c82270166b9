"""Detokenization, and answers about values by the same opening code: one flat loop over a batch.

- `detokenize`: the path of a batch; `batch`: what goes along it. `answering`: what is told without the value.
- `dekcache`: the cache of keys. `situations`: of customers whose row alone does not tell theirs.
- `issued`: whether a token with limits of its own is followed.
"""
