import os
import signal
from pathlib import Path

from tests.ops.conftest import Start, lives, numbers, wait_for

SUPERVISE = ("-m", "tests.supervise", "sh", "-c")
# Notes its own process id and that of a child, and waits for the child.
WITH_CHILD = "sleep 300 & echo $! >> {0}/children; echo $$ >> {0}/pids; wait"


def test_a_killed_command_comes_back_and_its_orphans_are_gone(start: Start, tmp_path: Path) -> None:
    process = start(*SUPERVISE, WITH_CHILD.format(tmp_path))
    for starts in (1, 2, 3):
        wait_for(lambda starts=starts: len(numbers(tmp_path / "pids")) == starts)
        assert [lives(pid) for pid in numbers(tmp_path / "children")] == [False] * (starts - 1) + [True]
        os.kill(numbers(tmp_path / "pids")[-1], signal.SIGKILL)
    wait_for(lambda: len(numbers(tmp_path / "pids")) == 4)
    process.terminate()
    output, errors = process.communicate(timeout=30)
    assert output.count("was ended by SIGKILL; starting it again") == output.count("starting it again") == 3
    assert errors == ""


def test_a_command_that_ends_by_itself_comes_back(start: Start, tmp_path: Path) -> None:
    process = start(*SUPERVISE, f"echo $$ >> {tmp_path}/pids")
    wait_for(lambda: len(numbers(tmp_path / "pids")) >= 3)
    process.terminate()
    output, _ = process.communicate(timeout=30)
    assert "ended with status 0; starting it again at once" in output
    assert "ended with status 0; starting it again in 0.25 s" in output


def test_a_command_that_cannot_be_started_is_tried_again(start: Start) -> None:
    process = start("-m", "tests.supervise", "/nonexistent/command")
    assert process.stdout is not None
    for _ in range(3):
        assert "/nonexistent/command could not be started" in process.stdout.readline()
    process.terminate()
    assert process.wait(30) == 0


def test_sigterm_and_sigint_end_everything(start: Start, tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        folder = tmp_path / number.name
        folder.mkdir()
        process = start(*SUPERVISE, WITH_CHILD.format(folder))
        wait_for(lambda folder=folder: len(numbers(folder / "pids")) == 1)
        process.send_signal(number)
        assert process.wait(30) == 0
        assert not any(lives(pid) for pid in numbers(folder / "pids") + numbers(folder / "children"))


def test_the_command_may_end_in_its_own_time(start: Start, tmp_path: Path) -> None:
    farewell = f"trap 'sleep 0.5; echo 1 > {tmp_path}/done; exit 3' TERM"
    command = f"{farewell}; echo 1 > {tmp_path}/begun; while :; do sleep 0.1; done"
    process = start(*SUPERVISE, command)
    wait_for((tmp_path / "begun").exists)
    process.terminate()
    assert process.wait(30) == 0
    assert (tmp_path / "done").exists()


def test_nothing_outlives_a_killed_supervisor(start: Start, tmp_path: Path) -> None:
    process = start(*SUPERVISE, WITH_CHILD.format(tmp_path))
    wait_for(lambda: len(numbers(tmp_path / "pids")) == 1)
    process.kill()
    wait_for(lambda: not any(lives(pid) for pid in numbers(tmp_path / "pids") + numbers(tmp_path / "children")))
