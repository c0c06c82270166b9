"""A witness, on another machine than the vaults it watches, and the vault's side of talking to one.

    state      what a witness keeps in its directory: its key, and each log's newest checkpoint
    successors how it follows a log from one signing key to the next
    service    the HTTP protocol around it (c2sp.org/tlog-witness)
    client     asks a witness for its cosignature

The rules of when a witness cosigns are in `vault.tlog.witness`.
"""
