"""The access log: who read what and why, written before a value leaves.

- `records`: the bytes of one record, and of the frame around it.
- `layout`: the bytes of a segment file: its header, and walking its frames past damage.
- `segment_file`: one segment on disk while it is written.
- `recovery`: what a new run does with the segments that the last one left behind.
- `segments`: `SegmentWriter`, which every process that reveals values appends through.
- `reader`: listing accesses, counting what is there.
- `customers`: of whom a principal was shown a value.
- `check`: the offline test of every segment and of the chain between them.
"""
