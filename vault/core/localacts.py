"""Acts of whoever has the vault's directory, recorded in its access log by a process that opens nothing else.

The process appends to segments of its own, which the vault seals with all others. They belong to whom the
directory belongs, so that the vault can read them whoever the operator is.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, cast

from vault.audit.layout import segments_in
from vault.audit.segments import SegmentWriter
from vault.config import Settings
from vault.core.trail import Trail
from vault.store.files import Format

PROCESS: Final = "operator"


@contextmanager
def recording(data_dir: Path, settings: Settings) -> Iterator[Trail]:
    """Records acts of the operator.

    Raises:
        StorageFormatError: there is no vault.
        AuditUnavailableError: the log cannot be written.
    """
    vault_id, audit = Format.read(data_dir).vault_id, settings.audit
    directory = Path(audit.directory) if audit.directory else data_dir / "audit"
    writer = SegmentWriter(
        directory,
        PROCESS,
        vault_id=vault_id,
        segment_bytes=audit.segment_bytes,
        sync=cast(Literal["interval", "always"], audit.sync),
        sync_interval_ms=audit.sync_interval_ms,
    )
    try:
        yield Trail(writer)
    finally:
        writer.close()
        if directory.is_dir():
            _hand_over(directory)


def _hand_over(directory: Path) -> None:
    owner = directory.stat()
    for name, path in segments_in(directory):
        if name.worker == PROCESS and path.stat().st_uid != owner.st_uid:
            os.chown(path, owner.st_uid, owner.st_gid)
