"""The sealed access log: what the workers wrote, in one Merkle tree that anyone can check.

- `leaves`: which bytes are hashed; a record's place.
- `files`: the directory of tiles and bundles; `bundles`: compressed ones; `state`: how far it is sealed.
- `tailing`: takes records from the segments; `cutting`: makes them leaves, many at a time; `filling`: the
  bundle that they go to; `writing`: one commit's; `sealer`: the rounds.
- `checkpoints`: the tree's name, size and root; `publishing` signs them, `cosigning` asks the witness.
- `retention`: removes old entries, and says so.
- `index`: from customers to leaves; `indexing`: takes bundles apart for it; `upkeep`: makes it, and
  compresses, when there is time.
- `log`: reads all this; `scanning`: passes over what holds no match.
- `verifying`: checks all this, without a vault; `parts`: each part on its own, `shares`: by several
  processes; `following`: whether records follow each other.
"""
