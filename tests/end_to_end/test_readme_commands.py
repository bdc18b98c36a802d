"""Every command of the README, then of the guides, runs in a folder with only the configurations.

So does every example of `--help`, after them.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
import typer
import yaml
from typer.testing import CliRunner

from kyc_ml.cli import app
from kyc_ml.cli.terminal.tables import say_share

ROOT = Path(__file__).parents[2]
GUIDES = (
    "README.md",
    "notebooks/README.md",
    "configs/sources/README.md",
    "kyc_ml/features/README.md",
    "configs/tiers/README.md",
)
"""In the order in which a reader runs them: the README trains what the guides use."""
TEXT = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in GUIDES)
LINES = [*dict.fromkeys(line for line in TEXT.splitlines() if line.startswith("kyc-ml "))]
SMALLER = {
    "--transactions 200000": "--transactions 30000",
    "--trials 50": "--trials 2",
    "kyc-ml promote": "kyc-ml promote --despite 'few positives'",
}
"""A command keeps its sense on fewer rows and trials."""
NOT_HERE = {
    "rollback": 1,  # there is one champion
    "register": 2,  # MLflow took every model
    # no night has run
    **dict.fromkeys(("monitor show", "monitor record", "alerts list", "alerts send"), 2),
    **dict.fromkeys(("alerts acknowledge", "alerts snooze"), 2),
    **dict.fromkeys(("incident show", "incident step", "incident close"), 2),
    "alerts watchdog": 4,  # its alert is not kept
    **dict.fromkeys(("serve", "replay"), 2),  # their store is made by a later example
}
"""Exit codes of examples whose occasion has not come."""
FEWER = {
    "payments": ("velocity", "amounts", "devices", "label_history", "profile"),
    "customers": ("velocity", "amounts", "timing", "profile", "third_party"),
}
"""And on fewer families of features, for each feature set."""
OF_RISK = (
    "--model models:/demo-risk/1 --source configs/sources/synthetic.yaml --data build/demo/bank"
)
"""The demo's second model by its version: what the README does moves the alias."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder as after `make demo`, of less, with gates that its few rows can pass."""
    place = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "configs", place / "configs")
    policy = yaml.safe_load((place / "configs" / "validation.yaml").read_text())
    amber = [gate for gate in policy["gates"] if gate["severity"] == "amber"]
    policy |= {"name": "few rows", "gates": amber}
    policy["settings"].update(draws=100, draws_of_large=100, compared_rows=10, audit_times=1)
    (place / "configs" / "validation.yaml").write_text(yaml.safe_dump(policy, allow_unicode=True))
    for name, families in FEWER.items():
        path = place / "configs" / "features" / f"{name}.yaml"
        listed = re.compile(r"^families:\n(  - \w+\n)+", re.MULTILINE)
        text, found = listed.subn(f"families: [{', '.join(families)}]\n", path.read_text())
        assert found == 1
        path.write_text(text)
    # with fewer trees most honest payments have one of few probabilities, and a night's index of
    # population stability moves by chance
    for name, trees in (("fraud", 120), ("risk", 40)):
        path = place / "configs" / f"{name}.yaml"
        path.write_text(
            re.sub(
                r"^  n_estimators: \d+$", f"  n_estimators: {trees}", path.read_text(), flags=re.M
            )
        )
    return place


@pytest.fixture(scope="module")
def demo(home):
    """Run what `make demo` runs, and stay in its folder; gives what it printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)  # the README names none
        patch.delenv("KYC_ML_AUDIT_LOG", raising=False)
        yield run("kyc-ml demo --transactions 100000 --quiet")


@pytest.fixture(scope="module")
def after_readme(demo):
    """Run every command of the README in the folder of the demo."""
    run('kyc-ml approve-policy configs/validation.yaml --approver sun.li --reason "few rows"')
    for line in LINES:
        run(line)


@pytest.mark.slow
def test_the_demo_runs_the_whole_path(demo):
    assert demo.stdout.count("┌") + demo.stdout.count("┏") == 1
    assert demo.stderr == ""
    rows = [line.strip("│┃| ").split("│") for line in demo.stdout.splitlines() if "│" in line]
    found = {row[0].strip(): row[1].strip() for row in rows if len(row) == 2}
    assert found["fraud model"] == "models:/demo-fraud/1"
    assert found["risk model"] == "models:/demo-risk/1"
    assert found["rows quarantined"] == "0"
    names = {each.name for each in Path("build/demo").iterdir()}
    assert names >= {"demo.html", "scores_fraud", "scores_risk", "bank"}
    assert "quarantine.parquet" not in names


@pytest.mark.slow
@pytest.mark.usefixtures("demo")
def test_a_risk_model_scores_every_customer_and_explains_a_review(tmp_path):
    run(f"kyc-ml score {OF_RISK} --out {shlex.quote(str(tmp_path / 'scored'))}")
    scores = pd.read_parquet(tmp_path / "scored" / "scores")
    assert scores["customer_id"].is_unique
    assert len(set(scores["decision_time"])) == 1
    first = scores.iloc[0]
    explained = run(f"kyc-ml explain {first.observation_id} {OF_RISK}")
    assert f"probability {say_share(first.probability)}, tier {first.tier}" in explained.stdout
    local = first.decision_time.tz_convert("Asia/Shanghai")
    assert f"{local:%Y-%m-%d %H:%M} Asia/Shanghai" in explained.stdout
    assert "quarantined" not in explained.stdout  # the table is that of check
    assert "quarantined, " in explained.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("asked", ["C0000001", "nobody@2024-12-01", "C0000001@soon"])
def test_a_review_that_does_not_exist_cannot_be_explained(asked):
    refused = run(f"kyc-ml explain {asked} {OF_RISK}", code=2)
    assert re.search("YYYY-MM-DD|ISO date|after", refused.stderr)


@pytest.mark.slow
@pytest.mark.usefixtures("after_readme")
def test_every_command_runs_in_order():
    assert Path("build/scores/manifest.json").is_file()
    assert Path("build/validated/report.html").stat().st_size > 100_000


def examples(commands):
    """Give the line of each command's example, those of groups last."""
    groups = [each for each in commands.values() if hasattr(each, "commands")]
    alone = [each for each in commands.values() if not hasattr(each, "commands")]
    for each in alone:
        yield each.epilog.splitlines()[-1]
    for group in groups:
        yield from examples(group.commands)


def but_for_folders(line):
    """Give a line without the bank that it reads and the place that it writes to."""
    return re.sub(r"--out \S+", "", line.replace("build/demo/bank", "build/bank"))


@pytest.mark.slow
@pytest.mark.usefixtures("after_readme")
def test_so_does_every_example_that_the_readme_does_not_give():
    given = {but_for_folders(line) for line in LINES}
    lines = [*examples(typer.main.get_command(app).commands)]
    other = [line for line in lines if but_for_folders(line) not in given]
    assert 5 < len(other) < len(lines) - 10
    for line in other:
        if line.startswith("kyc-ml demo"):  # ran before all
            continue
        words = line.split()[1:]
        run(line, code=NOT_HERE.get(" ".join(words[:2]), NOT_HERE.get(words[0], 0)))


def run(line, *, code=0):
    """Run a line of the README on fewer rows; gives what it printed."""
    for long, short in SMALLER.items():
        line = line.replace(long, short)
    done = CliRunner().invoke(app, shlex.split(line)[1:])
    assert done.exit_code == code, f"{line}\n{done.output[-3000:]}"
    return done
