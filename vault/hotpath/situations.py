"""The situation of a customer whose row alone does not tell it: terms from the sheet, judged by time.

Terms are read once, when the row is verified, and have to be those that the row was saved with. What they
amount to for a purpose is kept with them until the next of their ends.
"""

from vault.crypto.hazmat import Opener
from vault.errors import DataLossError, IntegrityFailedError
from vault.hotpath.dekcache import DekCache, KnownTerms
from vault.hotpath.known import Known
from vault.model.consent import ConsentState
from vault.policy.reads import CONSENT_BITS, Reads
from vault.store.layout import CustomerRow, RowState
from vault.store.sheet import Sheet
from vault.store.snapshot import Snapshot
from vault.store.terms import Terms, terms_digest


def read_terms(
    cache: DekCache,
    known: Known,
    opener: Opener,
    owner: tuple[bytes, bytes],
    row: CustomerRow,
    snapshot: Snapshot,
) -> Terms:
    """The terms in a customer's sheet; `owner` is the vault's id and the customer's key of 6 bytes.

    Raises:
        DataLossError: the sheet is missing.
        IntegrityFailedError: it is not the one that belongs to the row.
    """
    vault_id, customer = owner
    raw = snapshot.sheet(customer)
    if raw is None:
        raise DataLossError("the sheet of a live customer is missing")
    terms = Sheet.unpack(cache.open_sheet(known, opener, vault_id, customer, raw), raw[0]).terms
    if terms_digest(terms, lambda data: cache.row_mac(known, data)) != row.restrictions:
        raise IntegrityFailedError
    return terms


def judge_terms(known: Known, kept: KnownTerms, reads: Reads, now_ms: int) -> None:
    """Sets a customer's place for the decisions of a batch, by its terms and the time."""
    purpose = reads.purpose_no
    found = kept.situations.get(purpose)
    if found is None or 0 < found[1] <= now_ms:
        row = CustomerRow.unpack(known.row)
        said = ConsentState(row.consents >> reads.consent_shift & CONSENT_BITS)
        restricted = row.state is RowState.RESTRICTED
        found = kept.terms.situation(purpose, now_ms, said, row.jurisdiction, restricted)
        kept.situations[purpose] = found
    known.place, known.serial, known.until_ms = reads.place(found[0]), reads.serial, found[1]
