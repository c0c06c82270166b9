from tests.unit.erasure.entries import erased, gone, replaced, restored, shredded
from vault.erasure.finality import Span
from vault.erasure.partial import PartialErasures, Place


def test_what_went_under_one_generation_is_one_erasure_that_ends_with_it() -> None:
    events = [erased(3, (7, 1)), erased(4, (7, 2), corrected=True), replaced(5, 7, 1, 2), shredded(6, 7, 1)]
    (begun,) = PartialErasures().read(events[:3])
    assert (begun.shredded_seq, begun.former, begun.ended) == (None, 1, ())
    (ended,) = PartialErasures().read(events)
    assert ended.place == Place(3, 7)
    assert [(each.value_no, each.corrected, each.seq) for each in ended.values.values()] == [
        (1, False, 3),
        (2, True, 4),
    ]
    assert (ended.effective_ms, ended.ended) == (40, (1,))
    assert ended.span(reserved_seq=2) == Span(2, 6, 60)


def test_what_goes_after_the_new_generation_is_another_erasure() -> None:
    """Even if the old one is shredded only then."""
    events = [erased(3, (7, 1)), replaced(4, 7, 1, 2), erased(5, (7, 2)), shredded(6, 7, 1)]
    first, second = PartialErasures().read(events)
    assert (first.shredded_seq, second.shredded_seq) == (6, None)
    first, second = PartialErasures().read([*events, replaced(7, 7, 2, 3), shredded(8, 7, 2)])
    assert (first.shredded_seq, second.shredded_seq) == (6, 8)


def test_another_generation_that_is_shredded_ends_nothing() -> None:
    """One that a crash had left."""
    events = [replaced(2, 7, 1, 2), erased(3, (7, 1)), replaced(4, 7, 2, 3), shredded(5, 7, 1)]
    (erasure,) = PartialErasures().read(events)
    assert erasure.shredded_seq is None


def test_a_customers_shred_ends_all_that_has_not_ended() -> None:
    events = [erased(3, (7, 1)), replaced(4, 7, 1, 2), erased(5, (7, 2)), gone(6, 7, 1, 2)]
    found = PartialErasures().read(events)
    assert [(each.shredded_seq, each.ended) for each in found] == [(6, (1, 2))] * 2
    ended = [erased(3, (7, 1)), replaced(4, 7, 1, 2), shredded(5, 7, 1), gone(6, 7, 2)]
    assert [each.shredded_seq for each in PartialErasures().read(ended)] == [5]


def test_pieces_one_after_the_other_are_the_whole() -> None:
    """Also where one entry is about several customers."""
    events = [
        erased(3, (9, 1), (7, 1), (8, 1)),
        erased(4, (8, 2)),
        replaced(5, 8, 1, 2),
        shredded(6, 8, 1),
        erased(7, (8, 3), (9, 2)),
        gone(8, 9, 1),
    ]
    whole = PartialErasures().read(events)
    assert [each.place for each in whole] == [(3, 7), (3, 8), (3, 9), (7, 8)]
    after, pieces = Place(0, 0), []
    while piece := PartialErasures(after, 1).read(events):
        pieces += piece
        after = piece[-1].place
    assert pieces == whole


def test_a_replaced_generation_that_is_kept_ends_nothing_until_it_goes() -> None:
    events = [erased(3, (7, 1)), replaced(4, 7, 1, 2), erased(5, (7, 2)), replaced(6, 7, 2, 3)]
    first, second = PartialErasures().read(events)
    assert [(each.former, each.replaced_ms, each.shredded_seq) for each in (first, second)] == [
        (1, 40, None),
        (2, 60, None),
    ]
    first, second = PartialErasures().read([*events, shredded(7, 7, 1)])
    assert (first.shredded_seq, second.shredded_seq) == (7, None)


def test_what_a_restore_brings_back_waits_again_and_for_all_that_sealed_it() -> None:
    events = [erased(3, (7, 1)), replaced(4, 7, 1, 2), erased(5, (7, 2)), restored(6, copied_seq=3)]
    first, second = PartialErasures().read(events)
    assert (first.former, first.replaced_ms, second.former) == (None, None, None)
    events += [replaced(7, 7, 1, 3), shredded(8, 7, 1)]
    assert [(each.former, each.shredded_seq) for each in PartialErasures().read(events)] == [(2, None)] * 2
    events.append(shredded(9, 7, 2))
    assert [each.shredded_seq for each in PartialErasures().read(events)] == [9, 9]


def test_a_restore_of_values_that_are_newer_changes_nothing() -> None:
    events = [erased(3, (7, 1)), replaced(4, 7, 1, 2)]
    assert PartialErasures().read([*events, restored(5, copied_seq=4)]) == PartialErasures().read(events)


def test_pieces_are_the_whole_after_a_restore_too() -> None:
    events = [
        erased(3, (7, 1)),
        replaced(4, 7, 1, 2),
        erased(5, (7, 2)),
        restored(6, copied_seq=3),
        erased(7, (7, 3), (8, 1)),
        replaced(8, 7, 1, 3),
        erased(9, (7, 4)),
    ]
    whole = PartialErasures().read(events)
    assert [each.place for each in whole] == [(3, 7), (5, 7), (7, 8), (9, 7)]
    assert [sorted(each.values) for each in whole] == [[1], [2, 3], [1], [4]]
    after, pieces = Place(0, 0), []
    while piece := PartialErasures(after, 1).read(events):
        pieces += piece
        after = piece[-1].place
    assert pieces == whole
