"""What a shred amounts to: when it is final, and the certificate that says so.

    events        what the ledger tells about keys, as the rule needs it
    finality      the rule: which root keys must be gone before a shredded generation is
    awaiting      what has still to happen
    spans         from where to where in the ledger a generation lived
    canonical     the canonical form of JSON that is signed
    certificate   the certificate's content, its making and its bytes
    verifying     the offline check
    commitment    the salted commitment to an external id
    inclusion     is the entry in the log that the quoted checkpoint fixes

Pure: no file, clock or network. All times are given by the caller, in milliseconds since 1970, UTC.
"""
