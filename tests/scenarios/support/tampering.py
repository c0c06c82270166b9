"""What somebody with a hand on the disk, and no key, could do to a vault's stores.

A session of the store itself: rows are put, moved and removed with their pages in order, so that
nothing but the vault's own authentication can notice. The vault must be closed meanwhile.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.scenarios.support.deployment import Deployment
from vault.store.session import WriteSession
from vault.store.store import Store


@contextmanager
def tampering(deployment: Deployment) -> Iterator[WriteSession]:
    """A write session that is committed when the context ends."""
    with Store.open(deployment.data_dir, low_water_bytes=0) as store, store.write() as session:
        yield session
        session.commit()
