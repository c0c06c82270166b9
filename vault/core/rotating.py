"""RotateDek: a customer's values re-sealed under a new DEK generation, the old one destroyed.

Two commits, because the keyring commits before the values: the first adds the new generation and
re-seals; only when that is durable does the second remove the old generation's key. A crash between
them leaves an old key without records, which the next rotation of the customer removes.
"""

from dataclasses import replace
from typing import Any

from vault.core.book import OpenCustomer
from vault.core.engine import Engine
from vault.core.fieldinput import fingerprint_content
from vault.core.references import named_id, require
from vault.core.trail import Trail
from vault.errors import InvalidRequestError
from vault.model.access import Action
from vault.model.ids import CustomerNo, Generation
from vault.model.requests import Caller, CustomerRef
from vault.policy.decision import Grants
from vault.store.entries import GenerationReplaced, GenerationShredded
from vault.store.layout import ValueHeader
from vault.store.session import WriteSession

_LAST_GENERATION = 2**16 - 1


class Rotating:
    """The use case, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    def rotate(self, caller: Caller, ref: CustomerRef, request_id: str) -> tuple[int, int]:
        """Gives a customer a new DEK; returns its generation and how many values were re-sealed.

        Raises:
            DeniedError: the caller may not rotate.
            CustomerUnknownError, ShreddedError: there is nothing to rotate.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            grants = engine.directory(snapshot).access.principal(caller.principal)
        grants.require(Action.ROTATE)
        named = [ref.external_id, (ref.token or "").lower()]
        request = engine.request(grants.id, request_id, "RotateDek", named)

        def reseal(session: WriteSession) -> Any:
            remembered = request.recall(session)
            if remembered is not None:
                return remembered
            engine.directory(session).access.principal(caller.principal).require(Action.ROTATE)
            answer = self._reseal(session, grants, ref)
            request.remember(session, answer)
            return answer

        number, generation, resealed = engine.committer.submit(reseal, deadline=caller.deadline_monotonic)
        engine.committer.submit(lambda session: self._destroy_old(session, CustomerNo(number)), erase=True)
        engine.hot.forget(engine.book.key(CustomerNo(number)))
        return generation, resealed

    def _reseal(self, session: WriteSession, grants: Grants, ref: CustomerRef) -> list[int]:
        engine = self._engine
        number = require(engine, grants, session, ref)
        with engine.book.open(session, session, number, named_id(ref)) as old:
            # Beyond those that a crash or a restore left without records, too: no number means two keys.
            generation = Generation(session.generations(engine.region, number)[-1] + 1)
            if generation > _LAST_GENERATION:
                raise InvalidRequestError("the customer's DEK generations are used up")
            with engine.deks.new(generation) as dek:
                locator = old.dek.locator(engine.book.key(number))
                self._trail.act(grants, "RotateDek", locators=[locator])
                session.append(GenerationReplaced(engine.region, number, old.dek.generation, generation))
                wrapped = engine.keyrings.at(session.epoch).wrap_dek(
                    dek.pointer, engine.region, number, generation
                )
                session.put_dek(engine.region, number, generation, wrapped, overwrite=True)
                row = replace(old.row, dek_generation=generation)
                fresh = OpenCustomer.of(number, row, old.sheet, dek)
                fresh.past_locators = (*old.past_locators, locator)
                resealed = self._move(session, old, fresh)
                engine.consents.reseal(session, old, fresh)
                engine.book.save(session, fresh)
        return [number, generation, resealed]

    def _move(self, session: WriteSession, old: OpenCustomer, fresh: OpenCustomer) -> int:
        """Re-seals every record, tombstones included. Fingerprints are keyed by the DEK, so they move too."""
        book, resealed = self._engine.book, 0
        directory = self._engine.directory(session)
        for key, record in list(session.scan_customer(self._engine.region, old.number)):
            value_no = int.from_bytes(key[6:9], "big")
            if value_no == 0:
                continue
            header = ValueHeader.unpack(record)
            plaintext = book.open_value(session, old, value_no)
            book.put_value(
                session,
                fresh,
                value_no,
                header.field_class,
                plaintext,
                version=header.version,
                flags=header.flags,
                expires_s=header.expires_s,
            )
            if header.deleted:
                continue
            resealed += 1
            entry = fresh.entry(value_no)
            if entry is not None:
                declared = self._engine.field_class(directory, header.field_class)
                content = fingerprint_content(declared, plaintext)
                fresh.put_entry(entry._replace(fingerprint=fresh.dek.fingerprint(content)))
        return resealed

    def _destroy_old(self, session: WriteSession, number: CustomerNo) -> None:
        engine = self._engine
        row = engine.book.live_row(session, number)
        for generation in list(session.generations(engine.region, number)):
            if generation < row.dek_generation:
                session.append(GenerationShredded(engine.region, number, generation))
                session.delete_dek(engine.region, number, generation)
