"""Whole tables: values out of files and frames and tokens in, and back for those who may.

    api       what callers use: `tokenize_table`, `detokenize_table`, `tokenize_frame`, `detokenize_frame`
    plan      which column becomes what
    layout    a plan bound to the columns of one table
    source    what the formats (`csv_source`, `jsonl_source`, `parquet_source`, `frames`) have in common
    target    where rows go: `storing` them, `opening` their tokens, or a local check for a dry run
    rows      requests made of rows; `row_answers`: rows of their answers
    journal   the copy, the rejects and how far both have come
    pipeline  batches in flight, results in the order of the table
    files     one job from its file to its report

Rules: memory is bounded whatever a file holds. No message holds the content of a cell. pyarrow is
imported for Parquet only, pandas never: a frame brings its own methods.
"""

from customervault.tables.api import (
    Report,
    detokenize_frame,
    detokenize_table,
    tokenize_frame,
    tokenize_table,
)
from customervault.tables.errors import BrokenInputError, TableError
from customervault.tables.files import Pulse
from customervault.tables.source import Reject

__all__ = [
    "BrokenInputError",
    "Pulse",
    "Reject",
    "Report",
    "TableError",
    "detokenize_frame",
    "detokenize_table",
    "tokenize_frame",
    "tokenize_table",
]
