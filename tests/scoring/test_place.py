"""A goal has one holder; what is made there appears whole or not at all."""

import errno
import os
import re
import signal
import stat
import subprocess
import sys

import pytest

from kyc_ml.errors import OutputError
from kyc_ml.storage import MANIFEST, hold
from kyc_ml.storage.run_directory import NOTES

HOLDER = """
import pathlib, sys, time
from kyc_ml.storage.run_directory import hold
with hold(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def goal(tmp_path):
    return tmp_path / "runs" / "scores"


@pytest.fixture
def holder(goal):
    """Another process that holds the goal."""
    process = subprocess.Popen(  # noqa: S603  our own command
        [sys.executable, "-c", HOLDER, str(goal)], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait(timeout=30)
    process.stdout.close()


def test_a_goal_that_is_held_is_refused(goal):
    with hold(goal), pytest.raises(OutputError, match="writing"), hold(goal):
        pytest.fail("held twice")
    with hold(goal):
        pass


def test_a_goal_that_another_process_holds_is_refused_until_it_is_killed(goal, holder):
    with pytest.raises(OutputError, match="writing"), hold(goal):
        pytest.fail("held twice")
    holder.send_signal(signal.SIGKILL)
    holder.wait(timeout=30)
    with hold(goal) as place:
        assert place.work.is_dir()


def test_two_goals_in_one_folder_do_not_wait_for_each_other(goal):
    with hold(goal), hold(goal.with_name("others")):
        pass


def test_what_is_published_appears_by_one_rename(goal):
    with hold(goal) as place:
        (place.work / MANIFEST).write_text("{}")
        assert not goal.exists()
        place.keep((MANIFEST,))
        place.publish()
    assert [path.name for path in goal.iterdir()] == [MANIFEST]
    assert goal.stat().st_mode & 0o077 == 0
    assert [path.name for path in goal.parent.iterdir()] == ["scores"]


def test_what_exists_is_never_replaced(goal):
    with hold(goal) as place:
        (place.work / MANIFEST).write_text("new")
        goal.mkdir()
        (goal / "old").touch()
        with pytest.raises(OutputError, match="exists"):
            place.publish()
    assert [path.name for path in goal.iterdir()] == ["old"]
    assert (goal.parent / ".scores.work" / MANIFEST).read_text() == "new", "the work stays"


def test_what_was_refused_is_put_aside_in_place_of_the_last(goal):
    for text in ("first", "second"):
        with hold(goal) as place:
            (place.work / MANIFEST).write_text(text)
            place.put_aside()
        assert (place.failed / MANIFEST).read_text() == text
    assert [path.name for path in goal.parent.iterdir()] == ["scores.failed"]


def test_what_a_killed_job_left_half_done_is_removed_and_the_rest_kept(goal):
    work = goal.parent / ".scores.work"
    (work / "scratch" / "deep").mkdir(parents=True)
    (work / NOTES).mkdir()
    (work / "scores").mkdir()
    for half in (".a.parquet.x1", "scores/.part.parquet.x2", "scratch/deep/rows"):
        (work / half).write_bytes(b"half")
    (work / "scores" / "part.parquet").write_bytes(b"whole")
    with hold(goal) as place:
        left = {str(path.relative_to(work)) for path in work.rglob("*")}
        assert left == {NOTES, "scores", "scores/part.parquet", "scratch"}
        assert list(place.scratch.iterdir()) == []
    assert (work / "scores" / "part.parquet").is_file()


def test_a_second_job_is_told_what_the_operator_knows(goal):
    with (
        hold(goal),
        pytest.raises(OutputError, match=re.escape(f" {goal.parent}: ")),
        hold(goal, known_as=goal.parent),
    ):
        pytest.fail("held twice")


def test_a_job_that_did_nothing_leaves_nothing(goal):
    with hold(goal):
        pass
    assert not goal.parent.exists()


def test_folders_made_for_nothing_are_removed_and_what_was_there_stays(tmp_path):
    with hold(tmp_path / "out" / "day" / "scores"):
        assert (tmp_path / "out" / "day").is_dir()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with hold(tmp_path / "out" / "day" / "scores"):
        pass
    assert list(tmp_path.rglob("*")) == [tmp_path / "out"]
    with hold(tmp_path / "out" / "day" / "scores") as place:
        place.publish()
    assert (tmp_path / "out" / "day" / "scores").is_dir()


def test_clear_leaves_an_empty_scratch_folder_alone(goal):
    with hold(goal) as place:
        (place.work / NOTES).mkdir()
        (place.scratch / "rows").touch()
        place.clear()
        assert [path.name for path in place.work.iterdir()] == ["scratch"]
        assert list(place.scratch.iterdir()) == []


@pytest.mark.parametrize("name", [".", "/"])
def test_a_goal_without_a_name_is_refused(tmp_path, monkeypatch, name):
    from pathlib import Path  # noqa: PLC0415  only here

    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="folder"), hold(Path(name)):
        pytest.fail("held")


def test_a_goal_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match=os.strerror(errno.ENOTDIR)),
        hold(tmp_path / "file" / "scores"),
    ):
        pytest.fail("held")


def test_a_lock_file_that_was_removed_meanwhile_does_not_let_two_in(goal):
    with hold(goal):
        lock = goal.parent / ".scores.lock"
        number = os.open(lock, os.O_RDWR)  # a waiting job has it open
    try:
        with hold(goal):
            assert os.fstat(number).st_ino != lock.stat().st_ino or os.fstat(number).st_nlink == 0
            with pytest.raises(OutputError), hold(goal):
                pytest.fail("held twice")
    finally:
        os.close(number)


@pytest.fixture
def victim(tmp_path):
    """A folder of the user that another account would like to see emptied."""
    folder = tmp_path / "victim"
    (folder / "scratch").mkdir(parents=True)
    for name in (".bashrc", "accounts.txt", "scratch/.rows"):
        (folder / name).write_text("dear")
    yield folder
    assert {str(path.relative_to(folder)) for path in folder.rglob("*")} == {
        ".bashrc",
        "accounts.txt",
        "scratch",
        "scratch/.rows",
    }


@pytest.mark.parametrize("name", [".scores.work", ".scores.lock", "scores.failed"])
def test_a_planted_link_is_refused_and_never_followed(goal, victim, name):
    goal.parent.mkdir()
    link = goal.parent / name
    link.symlink_to(victim)

    def run():
        with hold(goal) as place:
            place.clear()
            place.put_aside()

    with pytest.raises(OutputError, match=re.escape(str(link))):
        run()
    assert link.is_symlink()


def test_links_and_hard_links_inside_the_work_folder_are_removed_but_not_followed(goal, victim):
    work = goal.parent / ".scores.work"
    (work / NOTES).mkdir(parents=True)
    for name in ("scratch", "scores", f"{NOTES}/.half"):
        (work / name).symlink_to(victim)
    os.link(victim / "accounts.txt", work / "accounts.txt")
    with hold(goal) as place:
        assert list(place.scratch.iterdir()) == []
        assert not list((work / NOTES).iterdir())
        place.clear()
        assert [path.name for path in work.iterdir()] == ["scratch"]


def test_a_work_folder_that_others_can_write_is_refused_and_left(goal):
    work = goal.parent / ".scores.work"
    work.mkdir(parents=True)
    (work / "theirs").touch()
    work.chmod(0o777)
    with pytest.raises(OutputError, match=re.escape(str(work))), hold(goal):
        pytest.fail("held")
    assert (work / "theirs").is_file()
    work.chmod(0o755)
    with hold(goal) as place:
        place.clear()
        place.publish()
    assert stat.S_IMODE(goal.stat().st_mode) == 0o700, "what is published is its owner's alone"


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give a file away")
@pytest.mark.parametrize("name", [".scores.work", ".scores.lock", "scores", "scores.failed"])
def test_what_another_user_made_is_refused_and_left(goal, name):
    planted = goal.parent / name
    planted.parent.mkdir()
    if name.endswith("lock"):
        planted.touch()
    else:
        planted.mkdir()
    os.chown(planted, 54321, -1)
    with pytest.raises(OutputError, match=re.escape(str(planted))), hold(goal) as place:
        place.put_aside()
    assert [path.name for path in goal.parent.iterdir()] == [name]


@pytest.mark.parametrize("name", [".scores.work", ".scores.lock", "scores.failed"])
def test_a_pipe_in_the_place_of_a_folder_or_lock_is_refused(goal, name):
    goal.parent.mkdir()
    os.mkfifo(goal.parent / name)
    with pytest.raises(OutputError, match=re.escape(name)), hold(goal) as place:
        place.put_aside()


def test_a_work_folder_that_is_exchanged_while_the_job_runs_is_not_published(goal, victim):
    def run():
        with hold(goal) as place:
            (place.work / MANIFEST).write_text("{}")
            place.work.rename(goal.parent / "aside")
            place.work.symlink_to(victim)
            place.remove(("accounts.txt", "scratch"))  # only in the folder that was opened
            place.publish()

    with pytest.raises(OutputError, match="work"):
        run()
    assert not os.path.lexists(goal)
    assert (goal.parent / "aside" / MANIFEST).is_file()


def test_a_link_in_place_of_the_goal_is_not_replaced(goal, tmp_path):
    goal.parent.mkdir()
    goal.symlink_to(tmp_path / "absent")
    with hold(goal) as place, pytest.raises(OutputError, match="exists"):
        place.publish()
    assert goal.is_symlink()
