"""The use cases. `vault.Vault` is the facade; one module each behind it.

- `engine`: what an open vault holds in one process. `founding`: makes a new vault.
- `committer`: the commit thread; `recovery`: finishes what the ledger says; `replay`: request ids.
- `directory`: names, principals and policy as of one snapshot. `book`: customers in a write.
- `columns`: entries that come in columns, checked before any lock; `fieldinput`: all others.
- `drafting`, `admitting`: customers who are new, a batch of them at a time; `newcomers`: their keys and rows.
- `tokenizing`, `rectifying`, `inspecting`, `exporting`, `shredding`, `rotating`, `narrowing`,
  `administering`, `reporting`: the use cases.
- `issuing`: tokens with limits of their own; `aliases`: their records; `consuming`: their single use.
- `suspending`, `budgets`, `approvals` with `approving`, `tracing`: keeping principals within bounds.
- `holding`: what a legal hold keeps; `erasing`: shreds that wait for one. `resealing`: new data keys.
- `forgetting`: zeroes cached keys of whom any process shredded. `upkeep`: background work.
- `checking`: the offline check. `offline`: a vault's parts without serving.
- `backup`, `keycopies`: copies of data and keyring.
- `restore`, with `reapplying`, `survivors` and `restorereport`: the way back.
"""
