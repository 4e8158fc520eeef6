"""studies.jobs: what studies share."""

import itertools

import pytest
from helpers.tiny import dataset, recipe
from tqdm import tqdm

from studies import jobs
from vitlit.train import Learner, classifier_for, optimizers_for


def learner(**changes):
    """A learner of little, and its endless batches."""
    data, how = dataset(), recipe(**changes)
    classifier = classifier_for(how, data, data.train_images)
    made = Learner(classifier, optimizers_for(classifier.model, how), how, 10)
    return made, jobs.batches(data, how)


def test_batches_go_on_after_an_epoch_in_another_order():
    _, given = learner()
    labels = [batch[1].tolist() for batch in itertools.islice(given, 6)]
    first, second = ([*itertools.chain(*part)] for part in (labels[:3], labels[3:]))
    assert sorted(first) == sorted(second)
    assert first != second


def test_each_part_of_the_patches_gets_its_share_of_the_steps(monkeypatch):
    made, given = learner(keep=(0.25, 0.5, 1.0), model={"patch_size": 2})
    seen = []
    hook = made.classifier.model.encoder.register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0].shape[1] - 1)
    )
    with tqdm(disable=True) as bar:
        jobs.train_for(made, given, 7, bar)
    hook.remove()
    assert seen == 2 * [4] + 2 * [8] + 3 * [16]


def test_fewer_steps_than_parts_leave_the_first_out_and_none_is_refused():
    made, given = learner(keep=(0.25, 0.5, 1.0), model={"patch_size": 2})
    with tqdm(disable=True) as bar:
        assert jobs.train_for(made, given, 1, bar) > 0
        with pytest.raises(ValueError, match="0 steps cannot train anything; give at least 1"):
            jobs.train_for(made, given, 0, bar)
