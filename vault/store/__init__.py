"""Storage of a vault on one machine: four planes, one write lock.

- `store`: opens a vault; gives snapshots and write sessions.
- `snapshot`, `writes`, `session`, `shared`: reading, writing, the order of a commit, what sessions share.
- `layout`, `meta`, `sheet`, `entries`: every byte of rows and ledger payloads, without I/O.
- `aliases`: the plaintext of records that hold no value, and lead to one.
- `ledger`, `frames`, `proofs`: the append-only, hash-chained, signed file that no restore may undo.
- `following`, `mirror`, `witnessing`: who must hold a ledger entry before it is acknowledged.
- `environment`, `epochs`: LMDB, which no other package sees.
- `files`, `runfiles`, `space`: small files, what processes tell each other, full disks.
- `copying`, `bundle`: copies of environments, and directories of copies. `lineage`: which ledger is whole.
- `sharedset`: a bounded set in one file that processes share.
- `staging`, `hashnotes`: the keyring and index of a next epoch. `swapping`: restored stores come into place.
- `inspection`: the offline check of what can be seen without keys.
"""
