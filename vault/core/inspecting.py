"""What is held, without values: InspectToken, GetCustomer, ListCustomers, TranslateTokens."""

from collections.abc import Sequence
from dataclasses import replace

from vault.core.again import look_again
from vault.core.directory import DOMAIN, FIELD_CLASS, Directory
from vault.core.engine import Engine
from vault.core.erasures import ERASURES, ErasureRow, shred_id_text
from vault.core.fieldinput import check_limit
from vault.core.narrowing import told_of_terms
from vault.core.references import customer_token, named_id, own_token, own_value, require, token_of
from vault.core.trail import Trail
from vault.errors import (
    CustomerUnknownError,
    DataLossError,
    IntegrityFailedError,
    ValueDeletedError,
    VaultError,
)
from vault.model.access import Action, Denial
from vault.model.ids import CUSTOMER_ROW, CustomerNo, TokenParts
from vault.model.requests import (
    Caller,
    Customer,
    CustomerRef,
    CustomerState,
    HeldValue,
    Page,
    TokenInfo,
    Translated,
    ValueState,
)
from vault.store.layout import CustomerRow, RowState, ValueHeader, value_key
from vault.store.snapshot import KeyringSnapshot, Snapshot


class Inspecting:
    """The use cases, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail

    def translate(
        self, caller: Caller, tokens: Sequence[str], target_domain: str, source_domain: str = ""
    ) -> Translated:
        """The tokens of another domain for the same values. Opens no value.

        Surrogates are taken too, those of `source_domain` if it is given; what comes back are tokens.

        Raises:
            DomainDeniedError: the caller is not in the target domain.
        """
        engine = self._engine
        check_limit("batch_tokens", len(tokens), engine.settings.limits.batch_tokens)
        with engine.store.snapshot() as snapshot:
            grants = engine.directory(snapshot).access.principal(caller.principal)
            grants.require(Action.TRANSLATE)
            domain = grants.domain(target_domain)
            translated, denials = [], []
            for index, token in enumerate(tokens):
                try:
                    parts = own_value(engine, grants, snapshot, token, source_domain)
                    self._require_live(snapshot, parts)
                    translated.append(token_of(engine, domain, parts.customer_no, parts.value_no))
                except VaultError as error:
                    translated.append("")
                    denials.append(Denial(index, error.reason))
        self._trail.act(
            grants, "TranslateTokens", target_domain=target_domain, tokens=len(tokens), refused=len(denials)
        )
        return Translated(translated, denials)

    @look_again
    def inspect(self, caller: Caller, token: str, domain: str = "") -> TokenInfo:
        """Describes a token, or a surrogate, of `domain` if it is given.

        Raises:
            TokenMalformedError, TokenUnknownError: not one of the caller's tokens.
            DataLossError: the token is genuine and its record is missing.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
            directory = engine.directory(snapshot)
            grants = directory.access.principal(caller.principal)
            grants.require(Action.INSPECT)
            parts = own_value(engine, grants, snapshot, token, domain)
            row = engine.book.row(snapshot, parts.customer_no)
            if row is None:
                raise DataLossError("a genuine token's customer is missing from the store")
            base = TokenInfo(
                domain=directory.names[DOMAIN][parts.domain],
                state=ValueState.LIVE,
                customer_token=customer_token(engine, parts.domain, parts.customer_no),
                customer_state=customer_state(row),
            )
            locators = []
            if row.state == RowState.SHREDDED:
                engine.book.verify_tombstone(parts.customer_no, row)
                info = replace(base, state=ValueState.SHREDDED)
            else:
                info, locator = self._inspect_live(snapshot, keys, directory, parts, base)
                locators.append(locator)
        self._trail.act(grants, "InspectToken", locators=locators)
        return info

    @look_again
    def get(self, caller: Caller, ref: CustomerRef, domain: str) -> Customer:
        """One customer: classes, labels and tokens held. Never values.

        Raises:
            CustomerUnknownError: no such customer.
        """
        engine = self._engine
        with engine.store.snapshot() as snapshot, engine.store.keyring() as keys:
            directory = engine.directory(snapshot)
            grants = directory.access.principal(caller.principal)
            grants.require(Action.INSPECT)
            domain_id = grants.domain(domain)
            number = require(engine, grants, keys, ref)
            customer, locators = self.describe(snapshot, keys, directory, number, domain_id, named_id(ref))
        self._trail.act(grants, "GetCustomer", locators=locators)
        return customer

    def describe(
        self,
        snapshot: Snapshot,
        keys: KeyringSnapshot,
        directory: Directory,
        number: CustomerNo,
        domain: int,
        external_id: bytes,
    ) -> tuple[Customer, list[bytes]]:
        """A customer with its held values, and the locators under which the look is recorded.

        `external_id` is what the caller named it by; empty when by a token.
        """
        engine = self._engine
        row = engine.book.row(snapshot, number)
        if row is None:
            raise CustomerUnknownError("no such customer")
        token = customer_token(engine, domain, number)
        if row.state == RowState.SHREDDED:
            if external_id:
                raise IntegrityFailedError  # a shred takes the index row with it
            return self._shredded(snapshot, number, row, token), []
        with engine.book.open(snapshot, keys, number, external_id) as customer:
            held = [
                HeldValue(
                    token=token_of(engine, domain, number, entry.value_no),
                    field_class=directory.names[FIELD_CLASS].get(entry.field_class, ""),
                    labels=entry.labels,
                    version=engine.book.version(snapshot, number, entry.value_no),
                )
                for entry in customer.sheet.fields
            ]
            locator = customer.dek.locator(engine.book.key(number))
            base = Customer(
                token, customer_state(row), row.jurisdiction, row.created_ms, row.dek_generation, held
            )  # fmt: skip
            return told_of_terms(base, customer.terms, directory), [locator]

    def list(
        self, caller: Caller, page_size: int, page_token: str, domain: str, show_shredded: bool
    ) -> Page[Customer]:
        """Customers by ascending number. A page token is the token of the last customer of the page."""
        engine = self._engine
        with engine.store.snapshot() as snapshot:
            grants = engine.directory(snapshot).access.principal(caller.principal)
            grants.require(Action.INSPECT)
            domain_id = grants.domain(domain)
            after = None
            if page_token:
                after = engine.book.key(own_token(engine, grants, page_token).customer_no)
            found: list[Customer] = []
            following = ""
            for key, raw in snapshot.customers(after):
                number, row = CustomerNo(int.from_bytes(key[1:6], "big")), CustomerRow.unpack(raw)
                if row.state == RowState.SHREDDED and not show_shredded:
                    continue
                if len(found) == page_size:
                    following = found[-1].customer_token
                    break
                token = customer_token(engine, domain_id, number)
                if row.state == RowState.SHREDDED:
                    found.append(self._shredded(snapshot, number, row, token))
                else:
                    state = customer_state(row)
                    found.append(Customer(token, state, row.jurisdiction, row.created_ms, row.dek_generation))
        self._trail.act(grants, "ListCustomers", customers=len(found))
        return Page(found, following)

    def _inspect_live(
        self,
        snapshot: Snapshot,
        keys: KeyringSnapshot,
        directory: Directory,
        parts: TokenParts,
        base: TokenInfo,
    ) -> tuple[TokenInfo, bytes]:
        engine = self._engine
        with engine.book.open(snapshot, keys, parts.customer_no) as customer:
            locator = customer.dek.locator(engine.book.key(parts.customer_no))
            row = customer.row
            info = replace(base, dek_generation=row.dek_generation, customer_created_ms=row.created_ms)
            if parts.value_no == CUSTOMER_ROW:
                return info, locator
            record = snapshot.get(value_key(parts.region, parts.customer_no, parts.value_no))
            if record is None:
                raise DataLossError("a genuine token's record is missing from the store")
            header = ValueHeader.unpack(record)
            name = directory.names[FIELD_CLASS].get(header.field_class, "")
            entry = customer.entry(parts.value_no)
            engine.book.open_value(snapshot, customer, parts.value_no)  # so that the header is authentic
            if header.deleted or entry is None:
                return replace(
                    info, state=ValueState.DELETED, field_class=name, version=header.version
                ), locator
            return replace(info, field_class=name, labels=entry.labels, version=header.version), locator

    def _require_live(self, snapshot: Snapshot, parts: TokenParts) -> None:
        self._engine.book.live_row(snapshot, parts.customer_no)
        record = snapshot.get(value_key(parts.region, parts.customer_no, parts.value_no))
        if record is None:
            raise DataLossError("a genuine token's record is missing from the store")
        if parts.value_no != CUSTOMER_ROW and ValueHeader.unpack(record).deleted:
            raise ValueDeletedError("the value was deleted")

    def _shredded(self, snapshot: Snapshot, number: CustomerNo, row: CustomerRow, token: str) -> Customer:
        self._engine.book.verify_tombstone(number, row)
        for key, raw in snapshot.rows(ERASURES):
            if ErasureRow.unpack(self._engine.rows.open(ERASURES, key, raw)).ledger_seq == row.shred_seq:
                return Customer(token, CustomerState.SHREDDED, shred_id=shred_id_text(key))
        return Customer(token, CustomerState.SHREDDED)


def customer_state(row: CustomerRow) -> CustomerState:
    """The state that a row says."""
    if row.state == RowState.SHREDDED:
        return CustomerState.SHREDDED
    return CustomerState.RESTRICTED if row.state == RowState.RESTRICTED else CustomerState.ACTIVE
