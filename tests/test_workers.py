"""studies.workers: jobs side by side."""

import json

import pytest

from studies import workers


@pytest.mark.slow
def test_jobs_are_said_in_their_order(capsys):
    workers.run_all(json.dumps, ["b", "a", "c"], at_once=2)
    assert capsys.readouterr().out.split() == ['"b"', '"a"', '"c"']


@pytest.mark.slow
def test_what_a_job_refuses_ends_the_program_with_one_line():
    with pytest.raises(SystemExit, match="error: Expecting value"):
        workers.run_all(json.loads, ["1", "x"], at_once=1)


def test_phases_follow_each_other_and_results_come_back(capsys):
    assert workers.run_all(abs, [-1, -2], [-3], at_once=1) == [1, 2, 3]
    assert capsys.readouterr().out.split() == ["1", "2", "3"]
