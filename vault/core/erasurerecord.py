"""The record of erasures, of customers and of single values: how far each has come, and its certificate.

Rules:
- Shreds stand in rows, what was deleted or corrected in the ledger alone; both are told in its order.
- A page token names the last place that was told, `SEQ` or `SEQ.CUSTOMER`.
- What was deleted or corrected is read from the ledger in pieces: memory does not depend on how much it is.
"""

from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import islice

from vault.core.certifying import Certifying, Shredded
from vault.core.engine import Engine
from vault.core.erasures import (
    ERASURES,
    ErasureRow,
    partial_id_place,
    read_erasure,
    shred_id_bytes,
)
from vault.core.finality import unit_events
from vault.erasure.partial import PartialErasure, PartialErasures, Place
from vault.errors import ErasureUnknownError, HeldError
from vault.model.access import Action
from vault.model.erasure import Stage
from vault.model.ids import CustomerNo
from vault.model.requests import Caller, Certificate, Erasure, Page

_PIECE = 10_000  # erasures of values that are followed in one pass over the ledger

_Told = tuple[Place, Shredded | Erasure]
"""Where an erasure stands, and what is said of it, or of what."""


class ErasureRecord:
    """The use cases, for one open vault."""

    def __init__(self, engine: Engine, certifying: Certifying) -> None:
        self._engine = engine
        self._certifying = certifying

    def get(self, caller: Caller, erasure_id: str) -> Erasure:
        """How far one erasure has come.

        Raises:
            ErasureUnknownError: no such erasure.
        """
        found = self._found(caller, erasure_id)
        if isinstance(found, PartialErasure):
            (erasure,) = self._certifying.partials([found])
        else:
            (erasure,) = self._certifying.erasures([found])
        return erasure

    def certificate(self, caller: Caller, erasure_id: str) -> Certificate:
        """The newest certificate of one erasure.

        Raises:
            ErasureUnknownError: no such erasure.
            HeldError: it waits for a legal hold.
            InvalidRequestError: values whose key was not replaced yet.
        """
        found = self._found(caller, erasure_id)
        if isinstance(found, PartialErasure):
            return self._certifying.partial_certificate(found)
        if found[1].waiting is not None:
            raise HeldError("the erasure waits for a legal hold; there is nothing to certify yet")
        (certificate,) = self._certifying.certificates([found])
        return certificate

    def page(
        self, caller: Caller, page_size: int, page_token: str, stage: Stage | None = None
    ) -> Page[Erasure]:
        """Erasures, oldest first, of one stage or of all."""
        after = _place(page_token)
        with self._engine.store.snapshot() as snapshot:
            self._engine.directory(snapshot).access.principal(caller.principal).require(Action.INSPECT)
            rows = [
                (bytes(key), ErasureRow.unpack(self._engine.rows.open(ERASURES, key, row)))
                for key, row in snapshot.rows(ERASURES)
            ]
        told = merge(
            self._shreds(rows, after, stage),
            self._partials(after, stage, page_size + 1),
            key=lambda each: each[0],
        )
        page = list(islice(told, page_size + 1))
        following = ""
        if len(page) > page_size:
            seq, customer = page[page_size - 1][0]
            following = f"{seq}.{customer}"
        return Page([self._tell(each) for _, each in page[:page_size]], following)

    def _tell(self, found: Shredded | Erasure) -> Erasure:
        return found if isinstance(found, Erasure) else self._certifying.erasures([found])[0]

    def _shreds(self, rows: Iterable[Shredded], after: Place, stage: Stage | None) -> Iterator[_Told]:
        stage_of = self._certifying.stages()
        for each in sorted(rows, key=_place_of):
            if _place_of(each) > after and (stage is None or stage_of(each[1]) is stage):
                yield _place_of(each), each

    def _partials(self, after: Place, stage: Stage | None, wanted: int) -> Iterator[_Told]:
        piece = wanted if stage is None else _PIECE
        while True:
            found = PartialErasures(after, piece).read(unit_events(self._engine.store))
            for each, erasure in zip(found, self._certifying.partials(found), strict=True):
                if stage is None or erasure.stage is stage:
                    yield each.place, erasure
            if len(found) < piece:
                return
            after = found[-1].place

    def _found(self, caller: Caller, erasure_id: str) -> Shredded | PartialErasure:
        """An erasure, for whoever may shred or inspect."""
        with self._engine.store.snapshot() as snapshot:
            grants = self._engine.directory(snapshot).access.principal(caller.principal)
            if not grants.may(Action.SHRED):
                grants.require(Action.INSPECT)
            named = partial_id_place(erasure_id)
            if named is None:
                key = shred_id_bytes(erasure_id)
                return key, read_erasure(self._engine.rows, snapshot, key)
        region, place = named
        before = Place(place.seq, place.customer_no - 1)
        found = PartialErasures(before, limit=1).read(unit_events(self._engine.store))
        if not found or (found[0].region, found[0].place) != (region, place):
            raise ErasureUnknownError("no such erasure")
        return found[0]


def _place_of(shredded: Shredded) -> Place:
    row = shredded[1]
    return Place(row.ledger_seq, CustomerNo(row.customer_no))


def _place(page_token: str) -> Place:
    seq, _, customer = page_token.partition(".")
    if not seq.isdecimal():
        return Place(0, 0)
    return Place(int(seq), int(customer) if customer.isdecimal() else 2**40)
