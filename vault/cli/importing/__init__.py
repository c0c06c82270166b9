"""The machinery of `cvault import`.

    plan      which column becomes what; `presets` and `mapping` write plans
    layout    a plan bound to the columns of one file
    source    what the two formats (`csv_source`, `jsonl_source`) have in common
    target    where rows go: the vault, or a local check for a dry run
    journal   the tokenized copy, the rejects and how far both have come
    pipeline  several batches in flight, results in the order of the file
    foreign   rows of tokens of another vault, for `cvault import-tokens`
    run       one import from its opened source to its summary
    progress  rate and time left on a terminal

Rules: memory is bounded whatever the file holds. No message holds the content of a cell. A row that
cannot be imported whole goes to the rejects and never into the copy; a single refused value leaves
its cell of the copy empty.
"""
