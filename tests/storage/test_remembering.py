"""What was computed from an object is kept for that object, and for no equal one."""

from kyc_ml.storage import remember
from kyc_ml.storage.remembering import _MOST


def test_the_same_objects_are_computed_once_and_others_anew():
    calls = []

    @remember
    def total(*parts: list[int]) -> int:
        calls.append(parts)
        return sum(map(sum, parts))

    one, equal = [1, 2], [1, 2]
    assert [total(one, equal), total(one, equal), total(equal, one)] == [6, 6, 6]
    assert len(calls) == 2


def test_few_results_are_kept_and_none_is_taken_for_another():
    squared = remember(lambda part: part[0] ** 2)
    # lists that are freed at once would be followed by others at the same address
    assert [squared([n]) for n in range(3 * _MOST)] == [n * n for n in range(3 * _MOST)]
