"""studies.attention: maps against what erasing does, norms, calibration, robustness."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.tiny import dataset, recipe
from scipy import ndimage, stats
from torch import nn

from studies import attention
from vitlit import records, studies
from vitlit.classifier import load
from vitlit.patches import patchify
from vitlit.train import train

GENERATOR = torch.Generator().manual_seed(0)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a tiny model, with its weights."""
    return train(recipe(), dataset(test=40), tmp_path_factory.mktemp("runs") / "tiny")


def rounded(result):
    """A result without the last digits, in which processors differ."""
    text = json.dumps(attention.plain(result))
    return json.loads(text, parse_float=lambda number: round(float(number), 9))


@pytest.fixture
def data(monkeypatch):
    """The tiny data, where the command would load CIFAR-10."""
    tiny = dataset(test=40)
    monkeypatch.setattr(attention.datasets, "load", lambda source: tiny)
    return tiny


def test_rank_correlation_is_spearmans_with_ties_too():
    a = torch.randint(0, 6, (5, 12), generator=GENERATOR).float()
    b = torch.rand(5, 12, generator=GENERATOR)
    theirs = [stats.spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(attention.agreement(a, b), theirs, atol=1e-12)
    theirs = [stats.rankdata(x) - 1 for x in a]
    np.testing.assert_array_equal(attention.ranks(a), theirs)


def test_a_map_that_is_the_same_everywhere_agrees_with_nothing():
    flat, other = torch.ones(1, 9), torch.rand(1, 9, generator=GENERATOR)
    assert attention.agreement(flat, other).tolist() == [0]
    assert attention.agreement(other, 2 * other + 1).tolist() == pytest.approx([1])


def test_exactly_so_many_are_the_highest_where_values_are_equal():
    values = torch.tensor([[1.0, 1, 1, 1], [4, 1, 3, 2]])
    assert attention.highest(values, 2).sum(dim=1).tolist() == [2, 2]
    assert attention.highest(values, 2)[1].tolist() == [True, False, True, False]
    assert not attention.highest(values, 0).any()


def test_an_erased_patch_is_zero_and_the_others_are_what_they_were():
    inputs = torch.rand(2, 3, 8, 12, generator=GENERATOR) + 1
    gone = torch.zeros(2, 6, dtype=torch.bool)
    gone[0, 1] = gone[1, 5] = True
    erased = attention.erase(inputs, gone, 4)
    zero = patchify(erased, 4) == 0
    assert torch.equal(zero.all(dim=2), gone)
    assert torch.equal(zero.any(dim=2), gone)
    assert torch.equal(patchify(erased, 4)[~gone], patchify(inputs, 4)[~gone])


@pytest.mark.parametrize("side", [0, 2])
def test_shuffled_patches_are_the_same_ones_and_stay_in_their_block(side):
    rows, columns, P = 3, 4, 2
    numbers = torch.arange(rows * columns).float().reshape(1, 1, rows, columns)
    inputs = numbers.repeat_interleave(P, 2).repeat_interleave(P, 3).repeat(5, 1, 1, 1)
    shuffled = patchify(attention.shuffle(inputs, P, side, torch.Generator().manual_seed(0)), P)
    assert torch.equal(shuffled, shuffled[:, :, :1].expand_as(shuffled))
    order = shuffled[:, :, 0].long()
    assert torch.equal(order.sort(dim=1).values, torch.arange(12).expand(5, -1))
    assert len({tuple(row.tolist()) for row in order}) == 5
    if side:
        block = torch.tensor([0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3])
        assert torch.equal(block[order], block.expand(5, -1))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blurring_is_scipys(sigma):
    image = torch.rand(1, 1, 16, 20, generator=GENERATOR)
    theirs = ndimage.gaussian_filter(image[0, 0].double().numpy(), sigma, mode="mirror", truncate=3)
    np.testing.assert_allclose(attention.blur(image, sigma)[0, 0], theirs, atol=1e-6)


def test_rollout_is_the_product_of_all_layers():
    weights = [torch.rand(2, 3, 5, 5, generator=GENERATOR).softmax(dim=-1) for _ in range(4)]
    product = torch.eye(5)
    for layer in weights:
        product = (layer.mean(dim=1) + torch.eye(5)) / 2 @ product
    torch.testing.assert_close(attention.rollout(weights), product[:, 0, 1:])


def test_the_blind_copy_sees_nothing_and_the_model_stays_what_it_is(trained, data):
    model = load(str(trained.path)).model.eval()
    inputs = load(str(trained.path)).inputs(data.test_images[:4])
    before = model(inputs)
    blind = attention.blinded(model)(inputs)
    torch.testing.assert_close(blind, blind[:1].expand_as(blind))
    assert torch.equal(model(inputs), before)
    assert (before[0] - before[1]).abs().max() > 0.01


class Sums(nn.Module):
    """Two logits: the sum of all pixels, and nothing."""

    def forward(self, inputs):
        total = inputs.flatten(1).sum(dim=1)
        return torch.stack([total, torch.zeros_like(total)], dim=1)


def test_an_effect_is_what_the_predicted_class_loses():
    inputs = torch.rand(3, 1, 4, 4, generator=GENERATOR)
    inputs[2] *= -1  # so that the other class is predicted
    logit, probability, moved = attention.effects(Sums(), inputs, 2)
    sums = patchify(inputs, 2).sum(dim=2)
    torch.testing.assert_close(logit[:2], sums[:2])
    assert torch.equal(logit[2], torch.zeros(4))
    torch.testing.assert_close(moved, sums.abs())
    total = inputs.flatten(1).sum(dim=1)
    of_first = nn.functional.logsigmoid(total)[:, None] - nn.functional.logsigmoid(
        total[:, None] - sums
    )
    torch.testing.assert_close(probability[:2], of_first[:2])
    assert (probability[2] < 0).sum() == 0


def test_the_fixed_map_leaves_the_own_image_out():
    maps = torch.tensor([[1.0, 0], [3, 4], [5, 8]])
    assert attention.others_mean(maps).tolist() == [[4, 6], [3, 4], [2, 2]]


def test_what_stands_out_is_far_from_the_mean_patch():
    inputs = torch.zeros(1, 1, 4, 4)
    inputs[0, 0, :2, :2] = 1
    assert attention.standing_out(inputs, 2).argmax().item() == 0


def test_a_patch_of_one_color_has_no_contrast():
    inputs = torch.tensor([1.0, 2, 3])[None, :, None, None].expand(1, 3, 4, 8).clone()
    inputs[..., :4] += torch.tensor([-2.0, 2, -2, 2])
    assert attention.contrast_of(inputs, 4).tolist() == [[2, 0]]


def test_a_larger_share_of_erased_patches_contains_the_smaller():
    inputs = torch.ones(4, 1, 16, 16)
    less, more = (attention.changed(inputs, "erased", share, 4) for share in (0.25, 0.5))
    assert (less[more > 0] > 0).all()
    assert [(t == 0).double().mean().item() for t in (less, more)] == [0.25, 0.5]


def test_a_group_of_high_norms_is_found_where_it_is():
    norms = 1 + 0.1 * torch.rand(2, 50, 16, generator=GENERATOR)
    contrast = torch.rand(50, 16, generator=GENERATOR)
    lowest = contrast.argmin(dim=1)
    norms[1, torch.arange(25), lowest[:25]] = 9
    found = attention.of_norms(norms, contrast)
    assert found["high"].tolist() == pytest.approx([0, 25 / 800])
    assert found["lower"].tolist() == [0, 0]
    assert found["counts"].sum(dim=1).tolist() == [800, 800]
    assert found["counts"][1, -1] == 25
    assert found["highest_contrast"][1] == 0
    assert found["highest_contrast"][0] == pytest.approx(0.5, abs=0.25)


def test_the_calibration_error_is_the_mean_gap_of_the_bins():
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    right = np.array([True, True, True, False])
    found = attention.calibration(confidence, right)
    assert found["error"] == pytest.approx(0.05)
    assert [row["images"] for row in found["bins"]] == [2, 2]
    assert [row["accuracy"] for row in found["bins"]] == [0.5, 1]
    edge = attention.calibration(np.array([1.0, 1 / 15, 2 / 15]), np.ones(3, bool))
    assert [round(15 * row["high"]) for row in edge["bins"]] == [1, 2, 15]


def test_who_tells_the_truth_errs_by_chance_only():
    random = np.random.default_rng(1)
    confidence = random.uniform(0.3, 1, 5000)
    right = random.random(5000) < confidence
    honest = attention.calibration(confidence, right)
    assert honest["error"] == pytest.approx(honest["chance"], abs=0.01)
    braggart = attention.calibration(confidence**0.5, right)
    assert braggart["error"] > 3 * braggart["chance"]


def test_the_temperature_undoes_a_scale():
    logits = 2 * torch.randn(4000, 5, generator=GENERATOR)
    labels = logits.softmax(dim=1).multinomial(1, generator=GENERATOR)[:, 0]
    assert attention.temperature(3 * logits, labels) == pytest.approx(3, rel=0.06)
    confidence, both = attention.crossed(3 * logits, labels)
    assert both == pytest.approx([3, 3], rel=0.08)
    torch.testing.assert_close(confidence, logits.softmax(1).amax(1), atol=0.05, rtol=0)


def test_many_intervals_hold_together():
    """Of families of nine, at most one in twenty may hold a wrong interval."""
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        found = [attention.interval(random.normal(size=100), 9) for _ in range(9)]
        wrong += any(not row["low"] <= 0 <= row["high"] for row in found)
    assert 3 <= wrong <= 36
    alone = attention.interval(np.arange(10.0), 1)
    error = stats.sem(np.arange(10.0))
    assert alone["high"] - alone["mean"] == pytest.approx(1.959964 * error)


def test_the_border_is_the_outermost_patches():
    assert attention.at_border(np.ones(64), np.array([8, 8])) == pytest.approx(28 / 64)


@pytest.fixture(scope="module")
def measured(trained):
    """The folder of a result, and its file."""
    tiny = dataset(test=40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention.datasets, "load", lambda source: tiny)
        folder = trained.path.parent / "attention"
        words = ["--run", str(trained.path), "--pictures", "30", "--out", str(folder)]
        return words, attention.run(words)


def test_a_result_says_what_its_arrays_say(measured, trained):
    _, file = measured
    stored = json.loads(file.read_text(encoding="utf-8"))
    with np.load(file.with_suffix(".npz")) as arrays:
        assert rounded(attention.summarize(dict(arrays))) == rounded(stored["result"])
    assert stored["weights"] == trained.checksum
    assert stored["command"].startswith("python -m studies.attention --run ")
    assert stored["result"]["pictures"] == 30
    assert stored["result"]["calibration"]["accuracy"] == trained.summary["test_accuracy"]
    unchanged = stored["result"]["robustness"][0]
    assert (unchanged["change"], unchanged["amount"]) == ("erased", 0)
    assert unchanged["difference"] == {"mean": 0, "low": 0, "high": 0}


def test_a_result_is_read_beside_its_run(measured, trained):
    found = studies.attention(trained)
    assert found["run"] == trained.name
    assert set(found["result"]["agreement"]) == set(attention.EFFECTS)


def test_a_result_of_other_weights_is_refused(measured, trained, tmp_path):
    other = train(recipe(seed=1), dataset(test=40), tmp_path / trained.name)
    assert studies.attention(other) is None
    (tmp_path / "attention").mkdir()
    file = tmp_path / "attention" / measured[1].name
    file.write_bytes(measured[1].read_bytes())
    with pytest.raises(ValueError, match=r"other weights than tiny has now; repeat `make att"):
        studies.attention(other)
    file.write_text("{")
    with pytest.raises(ValueError, match=r"tiny\.json cannot be read .* repeat `make attention`"):
        studies.attention(other)


def test_a_result_that_is_there_is_kept_and_one_of_other_weights_is_made_again(
    measured, data, tmp_path, capsys
):
    words, file = measured
    before = file.stat().st_mtime_ns
    assert attention.run(words) == file
    assert "is there already" in capsys.readouterr().out
    assert file.stat().st_mtime_ns == before
    stale = json.loads(file.read_text(encoding="utf-8")) | {"weights": "sha256:0"}
    (tmp_path / file.name).write_text(json.dumps(stale))
    assert attention.run([*words[:-1], str(tmp_path)]) == tmp_path / file.name
    again = json.loads((tmp_path / file.name).read_text(encoding="utf-8"))
    fresh = json.loads(file.read_text(encoding="utf-8"))
    assert again["result"] == fresh["result"]
    assert again["weights"] != "sha256:0"


@pytest.mark.parametrize("count", [1, 41])
def test_a_number_of_pictures_that_cannot_be_is_refused(trained, data, count):
    with pytest.raises(ValueError, match=rf"--pictures is {count}; it must be from 2 to 40"):
        attention.measure(load(str(trained.path)), data, count)


def test_other_models_and_data_are_refused(trained, data, tmp_path):
    mean = train(recipe(model={"pooling": "mean"}), data, tmp_path / "mean")
    with pytest.raises(ValueError, match=r"pooling is 'mean', .* give weights of a run"):
        attention.measure(load(str(mean.path)), data, 30)
    other = replace(data, classes=("x", "y", "z"))
    with pytest.raises(ValueError, match="the model knows the classes ant, bee, cat"):
        attention.measure(load(str(trained.path)), other, 30)


def test_bad_input_ends_with_one_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["attention", "--run", "no-such-run"])
    with pytest.raises(SystemExit, match=r"error: no weights no-such-run; "):
        attention.main()


def test_the_books_result_is_of_its_weights_and_data():
    run = studies.best(records.find())
    found = studies.attention(run)  # raises if it is of other weights
    if found is None:
        pytest.skip("the book's best run has not been asked; VITLIT_RUNS=runs make attention")
    assert found["data"]["checksum"] == run.data["checksum"]
    assert found["result"]["pictures"] == attention.PICTURES
    assert found["result"]["calibration"]["accuracy"] == pytest.approx(run.summary["test_accuracy"])
    folder = run.path.parent / "attention"
    assert {file.stem for file in folder.iterdir()} == {run.name}, "remove results of other runs"
    with np.load(folder / f"{run.name}.npz") as arrays:
        assert rounded(attention.summarize(dict(arrays))) == rounded(found["result"])
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1e6
