"""Transparency logs: Merkle trees, their proofs, signed checkpoints, and what a witness checks.

    merkle        RFC 6962 hashing, the frontier of a growing tree, verification of proofs
    proving       roots and proofs from the nodes that a log keeps
    tree          such a log, kept in memory but for its leaves
    notes         signed notes and cosignatures (C2SP)
    checkpoints   a log's name, size and root as the text of a note (C2SP)
    witness       the request to a witness, and when a witness cosigns (C2SP)

Pure: no file, clock or network. The ledger is such a log; any other append-only file can be one.
"""
