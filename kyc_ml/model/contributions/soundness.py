"""Check LightGBM's text form of a model before LightGBM reads it.

LightGBM and the compiled contributions follow the indices of the text without a check of bounds:
a wrong one reads foreign memory, a circle never ends. A bundle's digests do not exclude that, for
whoever may write a bundle can compute them again.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

import numpy as np

from kyc_ml.errors import BundleError, Faults
from kyc_ml.metrics import Floats, Ints

_END: Final = "\nend of trees\n"
_MOST_FAULTS: Final = 10
_CATEGORICAL: Final = 1
_KINDS_OF_MISSING: Final = 3
# LightGBM reads what comes before a stray character, other parsers more or less than that
_INTEGERS: Final = re.compile(r"(-?[0-9]{1,12}( -?[0-9]{1,12})*)?")
_HEAD: Final = {
    "tree": "",
    "version": "v[0-9]",
    "num_class": "1",
    "num_tree_per_iteration": "1",
    "label_index": "0",
    "max_feature_idx": "[0-9]{1,9}",
    "objective": "binary sigmoid:1",
    "tree_sizes": _INTEGERS.pattern,
}
_BY_FEATURE: Final = frozenset({"feature_names", "feature_infos", "monotone_constraints"})
_INT: Final = 2**31 - 1
_WORD: Final = 2**32 - 1
# a threshold is infinite where a split separates missing values from all others
_NUMBER: Final = r"-?(inf|[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?)"
_NUMBERS: Final = re.compile(rf"({_NUMBER}( {_NUMBER})*)?")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_BY_SPLIT: Final = ("split_feature", "threshold", "decision_type", "left_child", "right_child")


def sound_trees(text: str) -> str:
    """Return the header and the trees of a model's text; the rest is not needed for predicting.

    LightGBM ends the process at a malformed line of the parameters that follow the trees.

    Raises BundleError: unless every index is in its range and every split is reached once; with the
    first faults.
    """
    faults = Faults("the LightGBM model is malformed: restore the bundle", BundleError)
    faults.extend(islice(_faults(text), _MOST_FAULTS)).raise_if_any()
    return text[: text.index(_END) + len(_END)]


def _faults(text: str) -> Iterator[str]:
    header, _, rest = text.partition("\n\n")
    if _CONTROL.search(text):
        yield "it has control characters"
        return
    head, twice = _fields(header)
    yield from (f"{name} is given twice" for name in twice)
    for name, value in _HEAD.items():
        if not re.fullmatch(value, head.get(name, "")):
            yield f"{name} is not that of a model with one margin a row"
    yield from (f"{name} is unknown" for name in head.keys() - _HEAD.keys() - _BY_FEATURE)
    # LightGBM refuses the line
    yield from (f"{name} has a second '='" for name, value in head.items() if "=" in value)
    highest = head.get("max_feature_idx", "")
    sizes = head.get("tree_sizes", "")
    if not re.fullmatch(_HEAD["max_feature_idx"], highest) or not _INTEGERS.fullmatch(sizes):
        return
    n_features = int(highest) + 1
    for name in _BY_FEATURE & head.keys() | {"feature_names", "feature_infos"}:
        found = len(head.get(name, "").split(" "))
        if found != n_features:
            yield f"{name} has {found} entries for {n_features} features"
    start = 0
    for number, size in enumerate(map(int, sizes.split())):
        section = rest[start : start + size]
        start += size
        if not _is_section(section, number):
            # LightGBM looks for a tree where these sizes lead it
            yield f"tree_sizes do not lead to tree {number}"
            return
        yield from (f"tree {number}: {fault}" for fault in _faults_of_tree(section, n_features))
    if not rest.startswith(_END[1:], start):
        yield "tree_sizes do not lead to the end of the trees"


def _is_section(section: str, number: int) -> bool:
    lines = section.removesuffix("\n\n\n")
    return (
        section.isascii()
        and section.startswith(f"Tree={number}\n")
        and section != lines
        and "\n\n" not in lines
    )


def _fields(section: str) -> tuple[dict[str, str], list[str]]:
    """Read ``name=value`` lines; return the names given twice too."""
    found: dict[str, str] = {}
    twice = []
    for line in section.split("\n"):
        name, _, value = line.partition("=")
        if name in found:
            twice.append(name)
        found[name] = value
    return found, twice


def _faults_of_tree(section: str, n_features: int) -> Iterator[str]:
    fields, twice = _fields(section.removesuffix("\n\n\n"))
    yield from (f"{name} is given twice" for name in twice)
    sizes = [fields.get(name, "") for name in ("num_leaves", "num_cat")]
    if not all(re.fullmatch("[0-9]{1,9}", size) for size in sizes) or sizes[0].strip("0") == "":
        yield "num_leaves or num_cat is not a number"
        return
    if fields.get("is_linear", "0") != "0":
        yield "its leaves are linear (linear_tree=true): train with linear_tree=false"
    n_leaves, n_sets = map(int, sizes)
    integers, numbers, unread = _read(fields, n_leaves, n_sets)
    yield from unread
    if unread:
        return
    if not np.isfinite(numbers["leaf_value"]).all():
        yield "a leaf_value is not finite"
    if n_leaves > 1:
        yield from _faults_of_splits(integers, numbers["threshold"], n_leaves, n_features, n_sets)


def _read(
    fields: Mapping[str, str], n_leaves: int, n_sets: int
) -> tuple[dict[str, Ints], dict[str, Floats], list[str]]:
    """Read the lists of a tree, whole numbers and others, with those of a wrong form or length."""
    splits = n_leaves - 1
    whole = {name: splits for name in _BY_SPLIT if name != "threshold"}
    whole |= {"internal_count": splits, "leaf_count": n_leaves}
    whole |= {"cat_boundaries": n_sets + 1} if n_sets else {}
    other = {"threshold": splits, "leaf_value": n_leaves, "split_gain": splits}
    other |= {"internal_value": splits, "internal_weight": splits, "leaf_weight": n_leaves}
    other |= {"shrinkage": 1}
    # of a tree of one leaf LightGBM reads no more than its value
    needed = {"leaf_value"} if n_leaves == 1 else {*whole, *other}
    integers: dict[str, Ints] = {}
    numbers: dict[str, Floats] = {}
    faults = []
    for name, count in {**whole, **other}.items():
        form = _INTEGERS if name in whole else _NUMBERS
        text = fields.get(name, "")
        absent = text == "" and name not in needed
        if not form.fullmatch(text) or (len(text.split()) != count and not absent):
            faults.append(f"{name} must be {count} numbers")
        elif name in whole:
            integers[name] = np.array(text.split(), np.int64)
        else:
            numbers[name] = np.array(text.split(), np.float64)
    words = fields.get("cat_threshold", "") if n_sets else ""
    if not _INTEGERS.fullmatch(words):
        faults.append("cat_threshold must be numbers")
    else:
        integers["cat_threshold"] = np.array(words.split(), np.int64)
    return integers, numbers, faults


def _faults_of_splits(
    integers: Mapping[str, Ints], threshold: Floats, n_leaves: int, n_features: int, n_sets: int
) -> Iterator[str]:
    feature, kind = integers["split_feature"], integers["decision_type"]
    if not _inside(feature, 0, n_features - 1):
        yield f"split_feature must be below {n_features}"
    if not _inside(kind, 0, 15) or (kind >> 2 >= _KINDS_OF_MISSING).any():
        yield "decision_type is unknown"
    for name in ("internal_count", "leaf_count"):
        if not _inside(integers[name], 0, _INT):
            yield f"{name} must be counts"
    yield from _faults_of_children(integers["left_child"], integers["right_child"], n_leaves)
    chosen = threshold[(kind & _CATEGORICAL) > 0]
    if not _inside(chosen, 0, n_sets - 1) or (chosen != np.floor(chosen)).any():
        yield f"the threshold of a category must be one of {n_sets} sets"
    if n_sets:
        bounds, words = integers["cat_boundaries"], integers["cat_threshold"]
        if bounds[0] != 0 or (np.diff(bounds) < 1).any() or bounds[-1] != words.size:
            yield "cat_boundaries must ascend from 0 to the size of cat_threshold"
        if not _inside(words, 0, _WORD):
            yield "cat_threshold must be words of 32 bits"


def _faults_of_children(left: Ints, right: Ints, n_leaves: int) -> Iterator[str]:
    """Require each split but the first, and each leaf, to be the child of one earlier split."""
    children = np.concatenate([left, right])
    if not np.array_equal(
        np.sort(children), np.delete(np.arange(-n_leaves, n_leaves - 1), n_leaves)
    ):
        yield "each split and each leaf must be the child of one split"
    # LightGBM numbers splits as it makes them, so a circle would have a smaller number
    parents = np.tile(np.arange(n_leaves - 1), 2)
    if ((children >= 0) & (children <= parents)).any():
        yield "a split must come after the split that leads to it"


def _inside(values: Ints | Floats, low: int, high: int) -> bool:
    return bool(((values >= low) & (values <= high)).all())
