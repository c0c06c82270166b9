"""The decisions of one principal's reads, as a table that the hot path looks up.

A table has 256 bytes, indexed by field class number, each a `Verdict`. `Reads.tables` joins all tables worked
out so far; `Reads.numbers` gives the number of the table for a *place*, and works it out when it is asked for
the first time. A place is an integer:

    jurisdiction u16 << 3 | restricted << 2 | consent of the purpose      from the customer row alone
    number << 3, from 2^16 << 3 on                                        a situation made of finer terms

Cedar is asked once for each distinct set of circumstances, for all field classes in one call. A situation in
which single classes are restricted, held or expired is put together from those in which all are.

Rules:
- What depends on time (training, an approval) has gone in as a boolean; `valid_until_ms` is when it changes.
- In the tables of an answer PLAIN says that it may be given: the value is opened to work it out, and does
  not leave. `Grants` has another door for them, so that no read meets such a table.
- Equal tables are kept once. `full` says when to begin anew, between two batches.
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from vault.model.access import Reveal
from vault.model.consent import ConsentState, LawfulBasis
from vault.model.situation import Situation
from vault.policy.compiling import Circumstances
from vault.policy.judging import Judge
from vault.policy.verdicts import Verdict

TABLE_BYTES: Final = 256
FOREVER_MS: Final = 2**63 - 1
CONSENT_BITS: Final = 3  # of a place, and of a customer row after the shift
_RESTRICTED: Final = 4
_SHIFT: Final = 3
_FINER: Final = 2**16
_MAX_PLACES: Final = 16_384
_MAX_TABLES: Final = 4_096
_NO_CLASSES: Final[frozenset[int]] = frozenset()
_ROW_PURPOSES: Final = 32
_SERIALS: Final = itertools.count(1)


def row_place(jurisdiction: bytes, restricted: bool) -> int:
    """The place of a customer row, its consent left out; `jurisdiction` as in the row, two bytes."""
    return int.from_bytes(jurisdiction, "big") << _SHIFT | restricted << 2


class _Numbers(dict[int, int]):
    """Table numbers by place."""

    def __init__(self, reads: "Reads") -> None:
        super().__init__()
        self._reads = reads

    def __missing__(self, place: int) -> int:
        number = self._reads.work_out(place)
        self[place] = number
        return number


class Reads:
    """What one principal sees for one purpose, wanting this much, on this lawful basis. Not thread-safe.

    Attributes:
        full: whether so much has gathered that it is better to begin anew.
    """

    def __init__(
        self,
        judge: Judge | None,
        purpose: str,
        purpose_no: int,
        wanted: Reveal,
        basis: LawfulBasis | None,
        class_ids: Mapping[str, int],
        *,
        trained: bool = False,
        break_glass: bool = False,
        valid_until_ms: int = FOREVER_MS,
    ) -> None:
        self.serial = next(_SERIALS)  # tells these decisions from those that were made before
        self.tables = b""
        self.numbers = _Numbers(self)
        self.purpose_no = purpose_no
        self.consent_shift = 2 * (purpose_no - 1) if 0 < purpose_no <= _ROW_PURPOSES else 2 * _ROW_PURPOSES
        self.valid_until_ms = valid_until_ms
        self._judge = judge
        self._purpose = purpose
        self._wanted = wanted
        self._basis = basis
        self._class_ids = class_ids
        self._trained = trained
        self._break_glass = break_glass
        self._finer: dict[Situation, int] = {}
        self._situations: list[Situation] = []
        self._kept: dict[bytes, int] = {}
        self._uniform: dict[Circumstances, bytes] = {}
        self.full = False

    def place(self, situation: Situation) -> int:
        """The place of a situation that the row alone does not tell."""
        number = self._finer.get(situation)
        if number is None:
            number = self._finer[situation] = len(self._situations)
            self._situations.append(situation)
            self._look_how_full()
        return _FINER + number << _SHIFT

    def of(self, place: int) -> bytes:
        """The verdicts of a place, by field class number."""
        number = self.numbers[place]
        return self.tables[TABLE_BYTES * number : TABLE_BYTES * (number + 1)]

    def table(self, situation: Situation) -> bytes:
        """The verdicts of a situation, by field class number."""
        return self.of(self.place(situation))

    def work_out(self, place: int) -> int:
        """The number of a place's table."""
        table = self._decide(self._situation(place))
        number = self._kept.get(table)
        if number is None:
            number = self._kept[table] = len(self._kept)
            self.tables += table
        self._look_how_full()
        return number

    def _look_how_full(self) -> None:
        self.full = (
            max(len(self.numbers), len(self._situations), len(self._uniform)) >= _MAX_PLACES
            or len(self._kept) > _MAX_TABLES
        )

    def _situation(self, place: int) -> Situation:
        upper = place >> _SHIFT
        if upper >= _FINER:
            return self._situations[upper - _FINER]
        code = upper.to_bytes(2, "big")
        return Situation(
            consent=ConsentState(place & CONSENT_BITS),
            jurisdiction="" if code == b"\0\0" else code.decode("ascii"),
            restricted=bool(place & _RESTRICTED),
        )

    def _decide(self, situation: Situation) -> bytes:
        if self._judge is None:  # an undeclared purpose: everything is PURPOSE_DENIED
            return bytes(TABLE_BYTES)
        if not (situation.restricted_classes or situation.held_classes or situation.expired_classes):
            return self._alike(self._judge, situation)
        verdicts = bytearray(TABLE_BYTES)
        for number in self._class_ids.values():
            verdicts[number] = self._alike(self._judge, of_class(situation, number))[number]
        return bytes(verdicts)

    def _alike(self, judge: Judge, situation: Situation) -> bytes:
        """The verdicts where all field classes are in the same situation."""
        circumstances = judge.circumstances(
            self._purpose, self._basis, situation, break_glass=self._break_glass
        )
        table = self._uniform.get(circumstances)
        if table is None:
            verdicts = bytearray(TABLE_BYTES)
            wanted = self._wanted
            found = judge.find(circumstances, list(self._class_ids), trained=self._trained, wanted=wanted)
            for name, finding in found.items():
                verdict = judge.decide(finding, wanted).verdict
                verdicts[self._class_ids[name]] = Verdict.PLAIN if verdict is Verdict.ANSWERED else verdict
            table = self._uniform[circumstances] = bytes(verdicts)
        return table


def of_class(situation: Situation, number: int) -> Situation:
    """The situation as one field class has it."""
    return replace(
        situation,
        restricted=situation.restricted or number in situation.restricted_classes,
        held=situation.held or number in situation.held_classes,
        expired=situation.expired or number in situation.expired_classes,
        restricted_classes=_NO_CLASSES,
        held_classes=_NO_CLASSES,
        expired_classes=_NO_CLASSES,
    )
