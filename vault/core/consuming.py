"""The use of tokens for a single use, written down before what they stand for leaves the process.

    under the write lock   each one is opened anew: still live, still the caller's
    ledger                 TOKENS_ENDED, synced
    values                 the alias says that it was used
    then                   the reader reveals the value, if the use is its own

Rules:
- Of many who use a token at once, the first to hold the write lock has it; all others find it used.
- A crash after the ledger's entry leaves the token used and its value unrevealed, also where the alias itself
  was not written: recovery does that.
- A use is recorded in the access log before it is written. What is revealed with it has the usual record.
"""

from vault.core.aliases import Aliases, Issued, require_not_ended
from vault.core.book import Book
from vault.core.committer import Committer
from vault.core.directory import DirectoryReader, load_directory
from vault.core.opencustomer import OpenCustomer
from vault.core.rows import Rows
from vault.core.trail import Trail
from vault.errors import TokenBoundError, VaultError
from vault.model.ids import CustomerNo
from vault.model.requests import Caller
from vault.policy.decision import Grants
from vault.store.aliases import AliasState
from vault.store.entries import TokensEnded
from vault.store.layout import split_value_key
from vault.store.session import WriteSession


class Consuming:
    """Uses up aliases for the hot path."""

    def __init__(
        self,
        committer: Committer,
        directories: DirectoryReader,
        rows: Rows,
        book: Book,
        aliases: Aliases,
        trail: Trail,
    ) -> None:
        self._committer = committer
        self._directories = directories
        self._rows = rows
        self._book = book
        self._aliases = aliases
        self._trail = trail

    def __call__(self, caller: Caller, keys: frozenset[bytes]) -> frozenset[bytes]:
        """Uses aliases (value keys, 9 bytes); returns those whose use is this caller's, durably.

        Raises:
            DeniedError: the caller is nobody any more.
            AuditUnavailableError, StorageFullError, StorageStoppedError, DeadlineExceededError: as any write.
        """

        def job(session: WriteSession) -> frozenset[bytes]:
            return self._use(session, caller, keys)

        return self._committer.submit(job, deadline=caller.deadline_monotonic)

    def _use(self, session: WriteSession, caller: Caller, keys: frozenset[bytes]) -> frozenset[bytes]:
        grants = self._grants(session, caller)
        usable, locators = [], set()
        for key in sorted(keys):
            region, number, value_no = split_value_key(key)
            try:
                with self._book.open(session, session, number) as customer:
                    self._usable(session, grants, customer, value_no)
                    locators.add(customer.dek.locator(self._book.key(number)))
            except VaultError:
                continue  # ended since, or its customer did: the next look says how
            usable.append((region, number, value_no))
        if not usable:
            return frozenset()
        self._trail.act(grants, "UseToken", locators=sorted(locators), tokens=len(usable))
        session.append(
            TokensEnded(usable[0][0], AliasState.USED, tuple([(number, no) for _, number, no in usable]))
        )
        for _, number, value_no in usable:
            with self._book.open(session, session, CustomerNo(number)) as customer:
                issued = self._usable(session, grants, customer, value_no)
                self._aliases.use(session, customer, issued, session.now_ms)
        return frozenset(self._book.value_key(number, value_no) for _, number, value_no in usable)

    def _usable(self, session: WriteSession, grants: Grants, customer: OpenCustomer, value_no: int) -> Issued:
        issued = self._aliases.require(session, customer, value_no)
        if issued.alias.principal_id not in (0, grants.id):
            raise TokenBoundError("the token is another principal's")
        require_not_ended(issued.alias, session.now_ms)
        return issued

    def _grants(self, session: WriteSession, caller: Caller) -> Grants:
        version = session.meta.access_version
        if session.access_changed:  # by another job of this group; what it reads is not yet anybody's
            directory = load_directory(self._rows, session, version)
        else:
            directory = self._directories.at(session, version)
        return directory.access.principal(caller.principal)
