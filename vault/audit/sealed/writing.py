"""One commit's leaves on their way into the tree: bundles, tiles and spans beyond what the state covers.

Full bundles are written as they fill, so that memory holds one bundle, and 32 bytes a leaf. Nothing counts
until the state that `finish` returns has been written.
"""

import contextlib
from collections.abc import Callable
from dataclasses import replace

from vault.audit.records import FRAME
from vault.audit.sealed.cutting import Stretch
from vault.audit.sealed.cutting_native import new_cutter
from vault.audit.sealed.files import SPAN, SPANS, TreeFiles
from vault.audit.sealed.filling import Filling
from vault.audit.sealed.leaves import leaves_of, segment_head
from vault.audit.sealed.pacing import at_once
from vault.audit.sealed.state import Sealed, State
from vault.audit.sealed.tailing import Piece
from vault.tlog.proving import TILE_HEIGHT, TILE_LEAVES
from vault.tlog.tiles import Edge, Tile, edge_widths, entries_path, split_entries


class Writing:
    """The growth of a tree from one state to the next."""

    def __init__(
        self,
        files: TreeFiles,
        state: State,
        pace: Callable[[], None] = at_once,
        bundle: Filling | None = None,
    ) -> None:
        """Reads the partial tiles, and the partial bundle if it has to.

        Args:
            files: of the tree.
            state: of the tree.
            pace: called between small pieces of work.
            bundle: where the commit before, which made this state, left off.

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
        self.bundle = bundle or self._read_bundle()
        self._spans: list[bytes] = []
        self._tiles: list[Tile] = []
        self._made: list[bytes] = []  # hashes of the leaves of one piece

    def _read_bundle(self) -> Filling:
        index, width = divmod(self._state.size, TILE_LEAVES)
        entries = split_entries(self._files.bundle(index, width))[:width] if width else []
        return Filling(new_cutter(), index, entries)

    def add(self, piece: Piece) -> bytes:
        """Adds the records of a piece; returns the hashes of their leaves, joined."""
        head = segment_head(piece.name)
        for stretch in piece.stretches:
            at = 0
            while at < len(stretch.frames):
                at += self.bundle.take(head, stretch, at) or self._take_long(head, stretch, at)
                self._pace()
                self._flush_full()
        self._grow()
        self._records += piece.records
        self._gaps += piece.gaps
        self._segments[str(piece.name)] = Sealed(piece.end, piece.done)
        made, self._made = b"".join(self._made), []
        return made

    def finish(self) -> State:
        """Writes the rest; returns the state to commit."""
        edge, files = self._edge, self._files
        for tile in (*self._tiles, *edge.partials()):
            files.write(tile.path, tile.hashes)
        bundle = self.bundle
        if bundle.leaves:
            files.write(entries_path(bundle.index, bundle.leaves), bundle.content)
        if self._spans:
            files.append(SPANS, (bundle.index - len(self._spans)) * SPAN.size, b"".join(self._spans))
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

    def _take_long(self, head: bytes, stretch: Stretch, at: int) -> int:
        """Adds a record that takes several leaves; returns how long its frame is."""
        begin = at + FRAME.size
        length: int = FRAME.unpack_from(stretch.frames, at)[0]
        end = begin + length
        for leaf in leaves_of(head, stretch.offset + at, bytes(stretch.frames[begin:end])):
            self.bundle.add(leaf)
            self._flush_full()
        return end - at

    def _flush_full(self) -> None:
        bundle = self.bundle
        if not bundle.is_full:
            return
        self._files.write(entries_path(bundle.index), bundle.content)
        self._pace()
        self._spans.append(SPAN.pack(*bundle.span))
        self._grow()
        bundle.next()

    def _grow(self) -> None:
        hashes = self.bundle.hashes(self._pace)
        self._made.append(hashes)
        self._tiles += self._edge.append(hashes)
