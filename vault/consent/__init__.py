"""What customers have agreed to.

    events      one event, its bytes, the chain of them
    standing    what follows from the events; which lawful bases remain
    signals     Global Privacy Control
    receipts    a signed statement about one event, and its offline check
    records     the export: consent records of ISO/IEC TS 27560 in terms of the W3C DPV

Pure: no file, clock or network. All times are given by the caller, in milliseconds since 1970, UTC.
"""
