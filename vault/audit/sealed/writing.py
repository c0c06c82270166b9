"""One commit's leaves on their way into the tree: bundles, tiles and spans beyond what the state covers.

Full bundles are written as they fill, so that memory holds one bundle, and 32 bytes a leaf. Nothing counts
until the state that `finish` returns has been written.
"""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import replace

from vault.audit.sealed.files import SPAN, SPANS, TreeFiles
from vault.audit.sealed.leaves import FIRST, WHOLE, leaves_of, segment_head, stamp_of
from vault.audit.sealed.pacing import at_once
from vault.audit.sealed.state import Sealed, State
from vault.audit.sealed.tailing import Piece
from vault.tlog.proving import TILE_HEIGHT, TILE_LEAVES
from vault.tlog.tiles import Edge, Tile, edge_widths, entries_path, join_entries, split_entries

_PRINCIPALS = 64


class Writing:
    """The growth of a tree from one state to the next."""

    def __init__(self, files: TreeFiles, state: State, pace: Callable[[], None] = at_once) -> None:
        """Reads the partial tiles and the partial bundle; calls `pace` after each full bundle.

        Raises:
            IntegrityFailedError: one of them is missing or damaged.
        """
        self._files = files
        self._pace = pace
        self._state = state
        self._segments = dict(state.segments)
        self._records, self._gaps = state.records, state.gaps
        partials = [
            files.hashes(level, state.size >> TILE_HEIGHT * (level + 1), width) if width else b""
            for level, width in enumerate(edge_widths(state.size))
        ]
        self._edge = Edge.of(state.size, partials)
        self._bundle, width = divmod(state.size, TILE_LEAVES)
        self._entries = split_entries(files.bundle(self._bundle, width))[:width] if width else []
        self._hashes: list[bytes] = []
        self._spans: list[bytes] = []
        self._tiles: list[Tile] = []

    def add(self, piece: Piece) -> None:
        """Adds the records of a piece."""
        head = segment_head(piece.name)
        sha256, entries, hashes = hashlib.sha256, self._entries, self._hashes
        for offset, body in piece.records:
            for leaf in leaves_of(head, offset, body):
                entries.append(leaf)
                hashes.append(sha256(b"\x00" + leaf).digest())
                if len(entries) == TILE_LEAVES:
                    self._flush()
                    self._pace()
        self._records += len(piece.records)
        self._gaps += piece.gaps
        self._segments[str(piece.name)] = Sealed(piece.end, piece.done)

    def finish(self) -> State:
        """Writes the rest; returns the state to commit."""
        self._grow()
        edge, files = self._edge, self._files
        for tile in (*self._tiles, *edge.partials()):
            files.write(tile.path, tile.hashes)
        if self._entries:
            files.write(entries_path(self._bundle, len(self._entries)), join_entries(self._entries))
        if self._spans:
            files.append(SPANS, (self._bundle - len(self._spans)) * SPAN.size, b"".join(self._spans))
        files.sync_names()
        return replace(
            self._state,
            size=edge.size,
            root=edge.root().hex(),
            records=self._records,
            gaps=self._gaps,
            segments=self._segments,
        )

    def tidy(self) -> None:
        """Removes the partial tiles of the state before; what a crash leaves of them does no harm."""
        old, new = self._state.size, self._edge.size
        if old == new:
            return
        for level, width in enumerate(edge_widths(old)):
            if width and old >> TILE_HEIGHT * level != new >> TILE_HEIGHT * level:
                index = old >> TILE_HEIGHT * (level + 1)
                self._remove_partial(Tile(level, index, bytes(32 * width)).path)
        if old % TILE_LEAVES:
            self._remove_partial(entries_path(old // TILE_LEAVES, old % TILE_LEAVES))

    def _remove_partial(self, name: str) -> None:
        self._files.remove(name)
        with contextlib.suppress(OSError):  # not empty: the next partial tile of the same place
            (self._files.root / name).parent.rmdir()

    def _flush(self) -> None:
        entries = self._entries
        self._files.write(entries_path(self._bundle), join_entries(entries))
        stamps = [stamp_of(each) for each in entries if each[0] in (WHOLE, FIRST)]
        principals = 0
        for principal in {stamp[2] % _PRINCIPALS for stamp in stamps}:
            principals |= 1 << principal
        times = [stamp[1] for stamp in stamps] or [0]
        self._spans.append(SPAN.pack(min(times), max(times), principals))
        self._bundle += 1
        entries.clear()
        self._grow()

    def _grow(self) -> None:
        self._tiles += self._edge.append(b"".join(self._hashes))
        self._hashes.clear()
