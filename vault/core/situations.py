"""A customer's situation as one purpose sees it, outside the hot path."""

from vault.core.opencustomer import OpenCustomer
from vault.model.consent import ConsentState
from vault.model.situation import Situation
from vault.store.layout import RowState
from vault.store.terms import ROW_PURPOSES


def situation_of(customer: OpenCustomer, purpose_no: int, now_ms: int) -> Situation:
    """The situation of an opened customer; `purpose_no` is 0 for a purpose that is not declared."""
    row = customer.row
    in_row = 0 < purpose_no <= ROW_PURPOSES
    said = ConsentState(row.consents >> 2 * (purpose_no - 1) & 3) if in_row else ConsentState.NONE
    situation, _ = customer.terms.situation(
        purpose_no, now_ms, said, row.jurisdiction, row.state is RowState.RESTRICTED
    )
    return situation
