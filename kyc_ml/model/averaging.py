"""Several fitted models as one: trees side by side, each leaf divided by the number of models."""

import re
from collections.abc import Callable, Sequence
from typing import Final

_END: Final = "end of trees\n"


def average_trees(texts: Sequence[str]) -> str:
    """Return the LightGBM text of the model whose margin is the mean of the given models' margins.

    Contributions of trees add up, and so do base values: those of the whole are the means of
    those of the parts, exactly, except for rounding. The header and what follows the trees are
    the first model's: neither takes part in a prediction.

    `texts`: of models of one objective with the same columns in the same order.
    """
    if len(texts) == 1:
        return texts[0]
    head, _, tail = split_trees(texts[0])
    trees = [
        change_leaves(tree, lambda value: value / len(texts))
        for text in texts
        for tree in split_trees(text)[1]
    ]
    return join_trees(head, trees, tail)


def split_trees(text: str) -> tuple[str, list[str], str]:
    """Split a model's text into its header, the text of each tree, and the rest."""
    head, rest = text.split("\nTree=0\n", 1)
    body, tail = rest.split(_END, 1)
    return head, re.split(r"^Tree=\d+\n", body, flags=re.MULTILINE), tail


def join_trees(head: str, trees: Sequence[str], tail: str) -> str:
    """Write the text of a model again; the header has the length of each tree."""
    numbered = [f"Tree={number}\n{tree}" for number, tree in enumerate(trees)]
    sizes = " ".join(str(len(tree)) for tree in numbered)
    head = re.sub(r"(?<=\ntree_sizes=).*", sizes, head)
    return f"{head}\n{''.join(numbered)}{_END}{tail}"


def change_leaves(tree: str, change: Callable[[float], float]) -> str:
    """Change the value of every leaf and inner node of a tree's text."""

    def changed(line: re.Match[str]) -> str:
        numbers = [change(float(number)) for number in line[2].split()]
        # as LightGBM writes them: leaves exactly, inner nodes with six digits
        written = [f"{number:g}" if line[1] == "internal" else repr(number) for number in numbers]
        return f"{line[1]}_value={' '.join(written)}"

    return re.sub(r"^(leaf|internal)_value=(.*)$", changed, tree, flags=re.MULTILINE)
