"""Follows the ledger, so that every process soon forgets what any process has shredded.

Reads do not depend on it: they look at the customer row in each transaction. It is what zeroes the
DEK that a process still holds in guarded memory although nobody asks for the customer any more.
"""

import threading

from vault.errors import VaultError
from vault.hotpath.detokenize import HotPath
from vault.store.entries import GenerationShredded, Shred
from vault.store.layout import customer_key
from vault.store.store import Store

EVERY_SECONDS = 1.0


class Forgetting:
    """A thread that evicts shredded customers' DEKs from this process's cache."""

    def __init__(self, store: Store, hot: HotPath) -> None:
        self._store = store
        self._hot = hot
        self._end = threading.Event()
        with store.snapshot() as snapshot:
            self._seen = snapshot.meta.applied
        self._thread = threading.Thread(target=self._run, name="forgetting", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._end.set()
        self._thread.join()

    def catch_up(self) -> int:
        """Forgets what the ledger says is gone; returns how many entries were new."""
        with self._store.snapshot() as snapshot:
            applied = snapshot.meta.applied
        before = self._seen
        if applied > before:
            for entry in self._store.ledger(before):
                if entry.seq > applied:
                    break
                match entry.payload:
                    case (
                        Shred(region=region, customer_no=number)
                        | GenerationShredded(region=region, customer_no=number)
                    ):
                        self._hot.forget(customer_key(region, number))
                self._seen = entry.seq
        return self._seen - before

    def _run(self) -> None:
        while not self._end.wait(EVERY_SECONDS):
            try:
                self.catch_up()
            except VaultError:
                continue  # the same damage stops the next read or write, which says so to its caller
