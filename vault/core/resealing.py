"""A customer's values re-sealed under a new generation of its data key, the old one destroyed.

Two commits, because the keyring commits before the values: the first adds the new generation and re-seals;
only when that is durable does the second remove the old generation's key. A crash between them leaves an
old key without records, which the next re-sealing of the customer removes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from vault.core.book import OpenCustomer
from vault.core.engine import Engine
from vault.core.fieldinput import fingerprint_content
from vault.errors import InvalidRequestError
from vault.model.ids import CustomerNo, Generation
from vault.store.entries import GenerationReplaced, GenerationShredded
from vault.store.layout import ValueHeader
from vault.store.session import WriteSession

_LAST_GENERATION: Final = 2**16 - 1

Record = Callable[[bytes], None]
"""Writes the access log's record of the customer with this locator, before anything is changed."""

_Opened = tuple[int, ValueHeader, bytes]
"""A record: value number, header, plaintext."""


@dataclass(frozen=True, slots=True)
class Resealed:
    """One customer's new generation; `records` counts tombstones, too."""

    generation: Generation
    values: int
    records: int


class Resealing:
    """Replaces data keys of one open vault."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def reseal(
        self, session: WriteSession, number: CustomerNo, record: Record, named: bytes = b""
    ) -> Resealed:
        """The first commit's part: a new generation, and every record under it.

        Args:
            session: writes it.
            number: whose.
            record: is called once the customer and all its records have opened.
            named: the external id by which the caller named the customer, if it did.

        Raises:
            CustomerUnknownError, ShreddedError: there is nobody to re-seal.
            DataLossError, IntegrityFailedError: a record or a consent event is damaged.
        """
        engine = self._engine
        with engine.book.open(session, session, number, named) as old:
            # Beyond those that a crash or a restore left without records, too: no number means two keys.
            generation = Generation(session.generations(engine.region, number)[-1] + 1)
            if generation > _LAST_GENERATION:
                raise InvalidRequestError("the customer's DEK generations are used up")
            # All of them before anything is written.
            opened, events = list(self._opened(session, old)), engine.consents.events(session, old)
            with engine.deks.new(generation) as dek:
                locator = old.dek.locator(engine.book.key(number))
                record(locator)
                session.append(GenerationReplaced(engine.region, number, old.dek.generation, generation))
                wrapped = engine.keyrings.at(session.epoch).wrap_dek(
                    dek.pointer, engine.region, number, generation
                )
                session.put_dek(engine.region, number, generation, wrapped, overwrite=True)
                row = replace(old.row, dek_generation=generation)
                fresh = OpenCustomer.of(number, row, old.sheet, dek)
                fresh.past_locators = (*old.past_locators, locator)
                values = self._put(session, fresh, opened)
                engine.consents.reseal(session, fresh, events)
                engine.book.save(session, fresh)
        return Resealed(generation, values, len(opened))

    def destroy_old(self, session: WriteSession, number: CustomerNo) -> None:
        """The second commit's part: no generation but the one in use stays wrapped.

        Raises:
            CustomerUnknownError, ShreddedError: there is nobody any more.
        """
        engine = self._engine
        row = engine.book.live_row(session, number)
        for generation in list(session.generations(engine.region, number)):
            if generation < row.dek_generation:
                session.append(GenerationShredded(engine.region, number, generation))
                session.delete_dek(engine.region, number, generation)

    def _put(self, session: WriteSession, fresh: OpenCustomer, opened: list[_Opened]) -> int:
        """Seals every record, tombstones included. Fingerprints are keyed by the DEK, so they move too."""
        values = 0
        directory = self._engine.directory(session)
        for value_no, header, plaintext in opened:
            self._engine.book.put_value(
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
            values += 1
            entry = fresh.entry(value_no)
            if entry is not None:
                declared = self._engine.field_class(directory, header.field_class)
                content = fingerprint_content(declared, plaintext)
                fresh.put_entry(entry._replace(fingerprint=fresh.dek.fingerprint(content)))
        return values

    def _opened(self, session: WriteSession, old: OpenCustomer) -> Iterator[_Opened]:
        for key, record in list(session.scan_customer(self._engine.region, old.number)):
            value_no = int.from_bytes(key[6:9], "big")
            if value_no:
                header = ValueHeader.unpack(record)
                yield value_no, header, self._engine.book.open_value(session, old, value_no)
