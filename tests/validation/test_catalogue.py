"""What the checks say of themselves."""

import ast
import re
from pathlib import Path

import pytest

from kyc_ml.errors import ConfigError
from kyc_ml.validation import CHECKS, catalogue, choose_checks
from kyc_ml.validation.catalogue import PROCEDURES
from kyc_ml.validation.check import FAMILIES
from kyc_ml.validation.outcome import Outcome, procedures

CHINESE = re.compile(r"[\u4e00-\u9fff]")


def test_checks_stand_in_the_order_of_the_families():
    order = [check.family for check in CHECKS.values()]
    assert order == sorted(order, key=list(FAMILIES).index)


@pytest.mark.parametrize("check", CHECKS.values(), ids=str)
def test_a_check_speaks_both_languages(check):
    for text in (check.title, check.purpose, check.method, check.signs, check.limits):
        assert text.en.strip()
        assert not CHINESE.search(text.en)
        assert CHINESE.search(text.zh) or text.zh.isascii() is False
    for measure in check.measures:
        assert measure.label.en
        assert measure.label.zh
    assert check.source
    assert len({measure.name for measure in check.measures}) == len(check.measures)


FAMILIES_FOLDER = Path(catalogue.__file__).parent / "families"
SHARED = "levels.py"  # computes figures for several families


def keys_by_family(family):
    """Collect the keys of figures and tables that a family's code computes, and all its words."""
    keys, words = set(), set()
    files = [*FAMILIES_FOLDER.glob(f"{family}*.py"), FAMILIES_FOLDER.parent / SHARED]
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
            if isinstance(node, ast.keyword) and node.arg in ("values", "tables"):
                inside = getattr(node.value, "keys", [])
                keys |= {key.value for key in inside if isinstance(key, ast.Constant)}
    return keys, words


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_declared_is_computed_and_what_is_computed_is_declared(family):
    """Without running a check: its figures and tables, by the names in its code."""
    declared = set()
    for name, procedure in PROCEDURES.items():
        if name.startswith(f"{family}."):
            declared |= {measure.name for measure in procedure.check.measures}
            declared |= procedure.tables.keys()
    computed, words = keys_by_family(family)
    assert declared - words == set()
    assert computed - declared == set()


def test_a_figure_or_table_that_is_not_declared_is_refused():
    procedure = PROCEDURES["calibration.spiegelhalter"]
    figures = Outcome(values={"z": 1.0, "p_value": 0.3}).figures(procedure)
    assert [figure.name for figure in figures] == ["z", "p_value"]
    with pytest.raises(ValueError, match="p_value"):
        Outcome(values={"z": 1.0}).figures(procedure)
    with pytest.raises(ValueError, match="extra"):
        Outcome(values={"z": 1.0, "p_value": 0.3, "extra": 1}).figures(procedure)
    with pytest.raises(ValueError, match="curve"):
        Outcome(values={"z": 1.0, "p_value": 0.3}, tables={"curve": None}).figures(procedure)


def test_a_check_needs_a_declaration_and_a_function():
    with pytest.raises(ValueError, match="overrides"):
        procedures("tiers", dict.fromkeys(("run_ordering", "run_concentration", "run_migration")))


@pytest.mark.parametrize("procedure", PROCEDURES.values(), ids=lambda each: each.check.id)
def test_plots_are_of_declared_tables_in_both_languages(procedure):
    for text in procedure.tables.values():
        assert text.en
        assert text.zh
    for plot in procedure.plots:
        assert plot.table in procedure.tables
        for text in (plot.title, plot.x_label, plot.y_label):
            assert text.en
            assert text.zh


def test_a_check_is_chosen_by_id_or_family():
    chosen = choose_checks(("calibration.jeffreys", "tiers"))
    assert [each.check.id for each in chosen] == [
        "calibration.jeffreys",
        *(name for name in PROCEDURES if name.startswith("tiers.")),
    ]
    assert len(choose_checks(())) == len(PROCEDURES)


def test_an_unknown_check_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"'calibration\.jeffreys'"):
        choose_checks(("calibration.jefreys",))
