"""The page of score columns says what the files themselves say."""

from pathlib import Path

from kyc_ml.scoring.schema import SCHEMA_VERSION, describe_columns

PAGE = Path(__file__).parents[2] / "pipelines" / "SCORES.md"


def test_the_page_holds_every_column_with_its_meaning():
    text = PAGE.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    expected = [
        f"| `{name.replace('reason_1_', 'reason_i_')}` | "
        f"{meaning.replace(' (reason 1; null where a row has fewer)', '')} |"
        for name, meaning in describe_columns(reasons=1).items()
    ]
    assert lines == expected
    assert f"Schema version {SCHEMA_VERSION};" in text
