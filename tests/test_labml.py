"""studies.labml: another configuration against the clock."""

import pytest

from studies import labml
from vitlit import records


@pytest.mark.slow
def test_training_against_the_clock_leaves_a_record(tmp_path):
    words = ["--minutes", "0.01", "--data", "digits", "--device", "cpu", "--out"]
    run = labml.run([*words, str(tmp_path / "run")])
    assert run.summary == records.read(tmp_path / "run").summary
    summary, metrics = run.summary, run.metrics
    assert (summary["preset"], summary["variant"], summary["data"]) == ("labml", "", "digits")
    assert summary["images"] > 0
    assert summary["train_seconds"] >= 0.6
    trained_on = run.data["counts"]["train"]
    assert summary["epochs"] == pytest.approx(summary["images"] / trained_on, abs=1e-3)
    assert metrics["epoch"] == [summary["epochs"]]
    assert metrics["test_accuracy"] == [summary["test_accuracy"]]
    assert sum(map(sum, summary["confusion"])) == summary["tested"] == run.data["counts"]["test"]
    assert run.config["vit"]["activation"] == run.config["mlp_activation"] == "relu"
    assert run.config["vit"]["dropout"] == 0.1
    with pytest.raises(FileExistsError, match="holds a finished run"):
        labml.run([*words, str(tmp_path / "run")])


def test_no_time_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--minutes is 0; it must be above 0"):
        labml.run(["--minutes", "0", "--out", str(tmp_path)])
