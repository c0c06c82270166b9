"""Tokenize: stores customers' fields and gives a token for each.

Which value a field means, in this order:
1. The value held under the same class and label: it is kept, or rectified in place; its token stays.
   If it also stands under other labels, only this label leaves it, and the search goes on. A value
   that differs in spelling only (case, spaces) is rectified too, unless other labels share it: the
   customer's spelling counts.
2. A value of the same class that is equal (by fingerprint): it gets the label too; same token.
3. A new value with a new number.

Values are validated before the write lock is taken and sealed under it, because the associated
data holds the numbers. An empty value is skipped: a row imported again never empties a field. A legal
hold refuses the field that would replace what it keeps.

Where a surrogate is wanted (`surrogates`), it is answered in place of the token. One that the request brings
from another vault never changes what is held: a field under whose label another value stands is refused.
"""

from collections.abc import Iterator, Mapping, Sequence

from vault.core.admitting import Admitting
from vault.core.columns import prepare_columns
from vault.core.directory import FIELD_CLASS
from vault.core.drafting import Drafting, Drafts
from vault.core.engine import Engine
from vault.core.fieldinput import (
    PreparedEntry,
    PreparedField,
    check_batch,
    check_limit,
    prepare_entry,
)
from vault.core.holding import require_not_held, require_open
from vault.core.opencustomer import OpenCustomer
from vault.core.references import find
from vault.core.replay import Part
from vault.core.tokenized import STORED, Answer, StoredFields, packed_answers, result_of
from vault.core.trail import Trail
from vault.crypto.tokens import blocks
from vault.errors import (
    BatchAbortedError,
    CustomerUnknownError,
    SurrogateTakenError,
    VaultError,
)
from vault.model.access import Action
from vault.model.columns import EntryColumns, PackedParts
from vault.model.ids import CustomerNo
from vault.model.requests import Caller, Entry, EntryResult, Outcome, StoredEntry, TokenForm
from vault.policy.decision import Grants
from vault.store.entries import ValuesCorrected
from vault.store.session import WriteSession
from vault.store.sheet import MAX_LABELS, SheetField


class Tokenizing:
    """The use case, for one open vault."""

    def __init__(self, engine: Engine, trail: Trail) -> None:
        self._engine = engine
        self._trail = trail
        self._surrogates = any(each.surrogate is not None for each in engine.catalog)

    def tokenize(
        self,
        caller: Caller,
        entries: Sequence[Entry],
        *,
        domain: str,
        request_id: str,
        atomic: bool,
        method: str,
        form: TokenForm = TokenForm.BY_CLASS,
    ) -> list[EntryResult | StoredEntry]:
        """Stores the entries in one durable commit; answers in their order.

        `form` says whether values whose class has surrogates are answered with one.

        Raises:
            DeniedError: the caller may not write, or is not in the domain.
            LimitExceededError: the batch is too large.
            RequestIdReusedError: the request id was used with another body.
            BatchAbortedError: `atomic`, and an entry or a field was refused; nothing was stored.
        """
        engine = self._engine
        check_batch(entries, engine.settings.limits)
        with engine.store.snapshot() as snapshot:
            directory = engine.directory(snapshot)
        grants = directory.access.principal(caller.principal)
        grants.require(Action.WRITE)
        domain_id = grants.domain(domain)
        head, packed = _fingerprinted(entries, domain, atomic, form)
        request = engine.request(grants.id, request_id, method, head, packed)
        prepared = self._prepare(entries)
        for entry in prepared:
            if entry.surrogates or (self._surrogates and form is not TokenForm.TOKEN):
                self._want_surrogates(entry, form, domain_id)
        drafts = Drafting(engine, directory.numbers[FIELD_CLASS]).draft_all(prepared)

        def job(session: WriteSession) -> list[Answer]:
            remembered = request.recall(session)
            if remembered is not None:
                return self._still_true(session, remembered, prepared)
            answers = self._write(session, caller, prepared, drafts, atomic, method)
            request.remember(session, answers, packed_answers)
            return answers

        answers = engine.committer.submit(job, deadline=caller.deadline_monotonic)
        with engine.turn.ordinary():
            stored = StoredFields(answers)
            tokens = self._tokens(answers, stored, domain_id)
        return engine.turn.each(
            lambda pair: result_of(*pair, stored, tokens), list(zip(answers, prepared, strict=True))
        )

    def _want_surrogates(self, entry: PreparedEntry, form: TokenForm, domain: int) -> None:
        for made in entry.fields:
            if made.error is not None or made.empty:
                continue
            rule = self._engine.catalog.get(made.field_class).surrogate
            declared = rule is not None and (rule.always or form is TokenForm.SURROGATE)
            if made.brought or (declared and form is not TokenForm.TOKEN):
                made.surrogate_domain = domain
                entry.surrogates = True

    def _prepare(self, entries: Sequence[Entry]) -> list[PreparedEntry]:
        catalog, limits = self._engine.catalog, self._engine.settings.limits
        if isinstance(entries, EntryColumns):
            return prepare_columns(entries, catalog, limits, self._engine.turn)
        return self._engine.turn.each(lambda entry: prepare_entry(entry, catalog, limits), entries)

    def _write(
        self,
        session: WriteSession,
        caller: Caller,
        prepared: list[PreparedEntry],
        drafts: Drafts,
        atomic: bool,
        method: str,
    ) -> list[Answer]:
        # Asked again under the lock: a principal revoked since the call began writes nothing.
        directory = self._engine.directory(session)
        grants = directory.access.principal(caller.principal)
        grants.require(Action.WRITE)
        numbers = directory.numbers[FIELD_CLASS]
        locators: list[bytes] = []
        corrected: list[tuple[int, int, int]] = []
        counts = [0] * (max(Outcome) + 1)
        answers = []
        with self._engine.deks.fresh() as fresh:
            admitting = Admitting(self._engine, session, fresh, drafts, locators)
            for position, entry in enumerate(prepared):
                try:
                    answer = self._write_entry(
                        session, grants, numbers, admitting, entry, locators, corrected
                    )
                except VaultError as error:
                    answer = {"error": error.reason.value}
                    entry.error = error
                if atomic and (refusal := _first_refusal(entry)) is not None:
                    raise BatchAbortedError(
                        f"entry {position} was refused: {refusal}",
                        index=str(position),
                        cause=refusal.reason.value,
                    )
                for outcome, _ in answer.get("fields", ()):
                    counts[outcome] += 1
                answers.append(answer)
            admitting.flush()
        if corrected:
            session.append(ValuesCorrected(self._engine.region, tuple(corrected)))
        # Storing into a field that is held answers whether it was equal: a comparison, so counted.
        self._trail.act(
            grants,
            method,
            locators=locators,
            created=counts[Outcome.CREATED],
            updated=counts[Outcome.UPDATED],
            unchanged=counts[Outcome.UNCHANGED],
            refused=counts[Outcome.REFUSED],
            customers=len(locators),
        )
        return answers

    def _write_entry(
        self,
        session: WriteSession,
        grants: Grants,
        numbers: Mapping[str, int],
        admitting: Admitting,
        entry: PreparedEntry,
        locators: list[bytes],
        corrected: list[tuple[int, int, int]],
    ) -> Answer:
        if entry.error is not None:
            raise entry.error
        book, hashed = self._engine.book, b""
        if entry.external_id:
            hashed = entry.hashed
            if entry.hashed_in != session.epoch:
                hashed = book.external_hash(session, entry.external_id)
            if hashed in admitting:
                admitting.flush()
            number = book.lookup_hashed(session, hashed)
            if number is not None and book.row(session, number) is None:
                number = None  # an index row that a crash left behind
        else:
            number = find(self._engine, grants, session, entry.customer)
        if number is not None:
            with book.open(session, session, number, entry.external_id) as customer:
                return self._store(session, grants, customer, numbers, entry, locators, corrected)
        if not entry.external_id:
            raise CustomerUnknownError("no such customer")
        if entry.surrogates:
            customer = admitting.open(entry, hashed)
            return self._store(session, grants, customer, numbers, entry, locators, corrected)
        number, fields = admitting.store(entry, hashed)
        return {"customer": number, "created": True, "fields": fields}

    def _store(
        self,
        session: WriteSession,
        grants: Grants,
        customer: OpenCustomer,
        numbers: Mapping[str, int],
        entry: PreparedEntry,
        locators: list[bytes],
        corrected: list[tuple[int, int, int]],
    ) -> Answer:
        engine = self._engine
        require_open(customer.terms)
        locator = customer.dek.locator(engine.book.key(customer.number))
        if not customer.created and any(made.error is None and not made.empty for made in entry.fields):
            engine.budgets.compare(grants, {locator})  # before the entry's first write
        fields = []
        for made in entry.fields:
            try:
                outcome, value_no = self._store_field(session, customer, numbers, made, corrected)
            except VaultError as error:
                # Refused alone: the customer must be saved with the numbers that other fields took.
                made.error = error
                outcome, value_no = Outcome.REFUSED, 0
            fields.append([int(outcome), value_no if made.error is None else made.error.reason.value])
        if customer.changed:
            engine.book.save(session, customer)
        locators.append(locator)
        return {"customer": customer.number, "created": customer.created, "fields": fields}

    def _store_field(
        self,
        session: WriteSession,
        customer: OpenCustomer,
        numbers: Mapping[str, int],
        made: PreparedField,
        corrected: list[tuple[int, int, int]],
    ) -> tuple[Outcome, int]:
        if made.error is not None:
            return Outcome.REFUSED, 0
        if made.empty:
            return Outcome.EMPTY, 0
        engine, field_class = self._engine, numbers[made.field_class]
        fingerprint = customer.dek.fingerprint(made.field_class.encode() + b"\0" + made.normalized)
        digest = engine.book.search.digest(engine.catalog.get(made.field_class), made.normalized)
        held = equal = None
        for line in customer.lines.values():
            if line.field_class == field_class:
                if made.label in line.labels:
                    held = line
                elif equal is None and line.fingerprint == fingerprint:
                    equal = line
        if held is not None:
            if held.fingerprint == fingerprint and (
                made.brought or made.stored == engine.book.open_value(session, customer, held.value_no)
            ):
                surrogate = self._draw(session, customer, made, held.value_no)
                self._keep_surrogate(session, customer, made, held.value_no, surrogate)
                return Outcome.UNCHANGED, held.value_no
            if made.brought and held.fingerprint != fingerprint:
                # The surrogates of the value that is held would stand for this one from now on.
                raise SurrogateTakenError("another value is held under this class and label")
            if len(held.labels) == 1:
                require_not_held(customer.terms, held, session.now_ms)
                surrogate = self._draw(session, customer, made, held.value_no)
                version = engine.book.rectify(session, customer, held, made.stored, fingerprint, digest)
                corrected.append((customer.number, held.value_no, version))
                self._keep_surrogate(session, customer, made, held.value_no, surrogate)
                return Outcome.UPDATED, held.value_no
            if held.fingerprint == fingerprint:
                surrogate = self._draw(session, customer, made, held.value_no)
                self._keep_surrogate(session, customer, made, held.value_no, surrogate)
                return Outcome.UNCHANGED, held.value_no  # another spelling of a value that labels share
        if equal is not None:
            check_limit("labels_per_value", len(equal.labels) + 1, MAX_LABELS)
            surrogate = self._draw(session, customer, made, equal.value_no)
            self._leave(customer, held, made.label)
            customer.put_entry(equal._replace(labels=(*equal.labels, made.label)))
            self._keep_surrogate(session, customer, made, equal.value_no, surrogate)
            return Outcome.UNCHANGED, equal.value_no
        engine.book.search.require_room(session, customer.lines.values(), field_class, digest)
        surrogate = self._draw(session, customer, made, None)
        value_no = engine.book.take_value_no(session, customer, engine.settings.limits.fields_per_customer)
        self._leave(customer, held, made.label)
        customer.put_entry(SheetField(value_no, field_class, fingerprint, digest, (made.label,)))
        engine.book.put_value(session, customer, value_no, field_class, made.stored)
        self._keep_surrogate(session, customer, made, value_no, surrogate)
        return Outcome.CREATED, value_no

    def _draw(
        self, session: WriteSession, customer: OpenCustomer, made: PreparedField, value_no: int | None
    ) -> bytes:
        """The surrogate that is to stand for a value, held or new; empty where a token is wanted.

        Asked for before anything of the field is written, because it may be refused.
        """
        if not made.surrogate_domain:
            return b""
        surrogates, domain = self._engine.surrogates, made.surrogate_domain
        if made.brought:
            surrogates.brought(session, customer, domain, made.brought, value_no)
            return made.brought
        field_class = self._engine.catalog.get(made.field_class)
        return surrogates.drawn(session, customer, field_class, domain, made.stored, value_no)

    def _keep_surrogate(
        self, session: WriteSession, customer: OpenCustomer, made: PreparedField, value_no: int, text: bytes
    ) -> None:
        if text:
            self._engine.surrogates.keep(session, customer, made.surrogate_domain, text, value_no)
            made.surrogate = text.decode()

    @staticmethod
    def _leave(customer: OpenCustomer, held: SheetField | None, label: str) -> None:
        """Takes a label away from the value that it shared with others, if there is one."""
        if held is not None:
            rest = tuple(each for each in held.labels if each != label)
            customer.put_entry(held._replace(labels=rest))

    def _still_true(
        self, session: WriteSession, answers: list[Answer], prepared: list[PreparedEntry]
    ) -> list[Answer]:
        """A remembered answer, except for customers shredded since: a replay never resurrects.

        Surrogates are not remembered with it, but found in the customer's sheet.
        """
        book, checked = self._engine.book, []
        for answer, entry in zip(answers, prepared, strict=True):
            if "customer" in answer:
                number = CustomerNo(answer["customer"])
                try:
                    if any(made.surrogate_domain for made in entry.fields):
                        with book.open(session, session, number) as customer:
                            _recall_surrogates(customer, answer, entry)
                    else:
                        book.live_row(session, number)
                except VaultError as error:
                    checked.append({"error": error.reason.value})
                    continue
            checked.append(answer)
        return checked

    def _tokens(self, answers: list[Answer], stored: StoredFields, domain: int) -> Iterator[str]:
        """The tokens of all answers, enciphered in one call: the customer's, then those of its fields."""
        region = self._engine.region
        made = []
        for answer in answers:
            if "customer" in answer:
                made += blocks(region, domain, answer["customer"], stored.of(answer).value_nos)
        return iter(self._engine.secrets.codec.encode_many(made))


def _recall_surrogates(customer: OpenCustomer, answer: Answer, entry: PreparedEntry) -> None:
    for (outcome, value_no), made in zip(answer["fields"], entry.fields, strict=True):
        if outcome in STORED and made.surrogate_domain:
            place = (value_no, made.surrogate_domain)
            texts = [each.text for each in customer.surrogates if (each.value_no, each.domain) == place]
            text = made.brought if made.brought in texts else next(iter(texts), b"")
            made.surrogate = text.decode()


def _first_refusal(entry: PreparedEntry) -> VaultError | None:
    if entry.error is not None or entry.plain is not None:
        return entry.error
    return next((made.error for made in entry.fields if made.error is not None), None)


def _fingerprinted(
    entries: Sequence[Entry], domain: str, atomic: bool, form: TokenForm
) -> tuple[list[Part], PackedParts | None]:
    # A request that asks for nothing special has the fingerprint that it always had.
    parts: list[Part] = [domain, bytes([atomic, form] if form else [atomic])]
    if isinstance(entries, EntryColumns):
        return parts, entries.parts
    for entry in entries:
        parts += [entry.customer.external_id, entry.customer.token, entry.jurisdiction]
        parts.append(len(entry.fields).to_bytes(4, "big"))
        for field_class, value, label, surrogate in entry.fields:
            parts += (field_class, label, value.reveal())
            if surrogate is not None:
                parts += (b"surrogate", surrogate)
    return parts, None
