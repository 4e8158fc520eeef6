"""studies.graph: the graph in the page is that of the book's weights."""

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from test_export import classifier

from studies.graph import FILE, RUN, STORED, main, run
from vitlit import figures
from vitlit.classifier import load
from vitlit.data import open_rgb
from vitlit.onnx import about, description


@pytest.mark.slow
def test_the_graph_of_a_run_is_written_and_written_over(tmp_path, capsys):
    ours, out = classifier(depth=1), tmp_path / "live" / "book.onnx"
    ours.save(tmp_path / "w")
    out.parent.mkdir()
    out.write_text("old")
    assert run(["--run", str(tmp_path / "w"), "--out", str(out)]) == out
    assert about(out.read_bytes()) == description(ours, STORED)
    assert capsys.readouterr().out.endswith(f"as fp16, {out.stat().st_size:,} bytes\n")


def test_weights_that_are_not_there_end_with_one_line(monkeypatch):
    monkeypatch.setattr("sys.argv", ["graph", "--run", "nowhere"])
    with pytest.raises(SystemExit, match=r"^error: no weights") as end:
        main()
    assert "\n" not in str(end.value)


@pytest.mark.skipif(not FILE.exists(), reason="no graph is in the page yet")
def test_the_graph_in_the_page_is_that_of_the_books_weights():
    ours, content = load(RUN), FILE.read_bytes()
    assert about(content) == description(ours, STORED), "`make graph` makes it anew"
    c = ours.model.config
    picture = open_rgb(figures.CHELSEA, c.image_size, c.channels)[None]
    gains = {
        "positions_gain": np.ones((), np.float32),
        "head_gains": np.ones((c.depth, c.heads), np.float32),
    }
    (logits,) = InferenceSession(content).run(["logits"], {"pixels": picture.numpy(), **gains})
    ours.round_(torch.float16)
    torch.testing.assert_close(torch.from_numpy(logits), ours.logits(picture), rtol=0, atol=1e-4)
