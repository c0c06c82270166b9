"""The access log: who read what and why, written before a value leaves.

- `records`: the bytes of one record, and of the frame around it.
- `layout`: the bytes of a segment file: its header, and walking its frames past damage.
- `segment_file`: one segment on disk while it is written.
- `recovery`: what a new run does with the segments that the last one left behind.
- `segments`: `SegmentWriter`, which every process that reveals values appends through.
- `listing`: the segments of a directory. `sealed`: what becomes of them, a Merkle tree.
- `reader`: records and accesses, sealed or not.
- `sifting`: the records of a principal and a time. `customers`: of whom it was shown a value. `tally`: how
  much, customer by customer.
- `check`: the offline test of every segment and of the chain between them.
"""
