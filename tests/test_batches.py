"""vitlit.batches: which images the steps of an epoch see, in which order, how augmented."""

from dataclasses import replace

import pytest
import torch
from helpers.tiny import dataset, recipe
from torch.nn import functional as F

from vitlit import batches as batching
from vitlit.batches import batch_of, batches_of, padding_of, split, steps_of


def test_an_epoch_has_full_batches_of_different_images_with_their_labels():
    data = dataset(22)
    settings = recipe(crop=0.0)
    batches = list(batches_of(data.train_images, data.train_labels, settings, False, 0))
    assert [len(images) for images, _ in batches] == [8, 8]
    images = torch.cat([images for images, _ in batches])
    labels = torch.cat([labels for _, labels in batches])
    found = [(data.train_images == image).flatten(1).all(1).nonzero().item() for image in images]
    assert len(set(found)) == 16
    assert torch.equal(data.train_labels[found], labels)


def test_an_image_is_augmented_alike_in_batches_of_any_size():
    data = dataset(24)
    large, small = (
        list(batches_of(data.train_images, data.train_labels, recipe(batch_size=n), True, 2))
        for n in (12, 4)
    )
    for which in (0, 1):
        together = [torch.cat([batch[which] for batch in batches]) for batches in (large, small)]
        assert torch.equal(*together)


def test_every_epoch_and_every_seed_is_another():
    data = dataset()
    firsts = [
        next(batches_of(data.train_images, data.train_labels, recipe(seed=seed), True, epoch))[0]
        for seed, epoch in [(0, 0), (0, 1), (1, 0)]
    ]
    assert not torch.equal(firsts[0], firsts[1])
    assert not torch.equal(firsts[0], firsts[2])


def test_images_that_do_not_fill_a_batch_make_one():
    data = dataset(5)
    batches = list(batches_of(data.train_images, data.train_labels, recipe(), True, 0))
    assert [len(images) for images, _ in batches] == [5]
    assert [steps_of(recipe(), n) for n in (5, 8, 15, 16)] == [1, 1, 1, 2]


def test_every_image_of_an_epoch_has_its_own_shift_and_coin():
    data = dataset(24)
    same = replace(data, train_images=data.train_images[:1].expand(24, -1, -1, -1))
    settings = recipe(crop=0.5, batch_size=4)
    images = [b for b, _ in batches_of(same.train_images, same.train_labels, settings, True, 0)]
    assert len({tuple(image.flatten().tolist()) for image in torch.cat(images)}) > 16


def test_a_crop_moves_by_a_share_of_each_side():
    assert padding_of(recipe(crop=0.25), 8, 64) == (2, 16)
    assert padding_of(recipe(crop=0.125), 32, 32) == (4, 4)


@pytest.mark.parametrize("mix", [0.0, 0.5])
@pytest.mark.parametrize("count", [2, 5, 9])
def test_fewer_images_than_a_batch_are_a_batch(count, mix):
    settings = recipe(batch_size=128, mix=mix)
    assert (batch_of(settings, count), steps_of(settings, count)) == (count, 1)


def test_several_processes_share_as_many_images_as_they_can(monkeypatch):
    monkeypatch.setattr(batching.processes, "count", lambda: 2)
    assert batch_of(recipe(batch_size=128), 9) == 8
    assert batch_of(recipe(batch_size=128, mix=0.5), 11) == 8
    assert batch_of(recipe(batch_size=6), 9) == 6
    for batch, mix, unit in ((7, 0.0, 2), (6, 0.5, 4)):
        message = (
            rf"batch_size {batch} of 9 images cannot be shared by 2 processes.*; "
            rf"choose a multiple of {unit}, or fewer processes"
        )
        with pytest.raises(ValueError, match=message):
            batch_of(recipe(batch_size=batch, mix=mix), 9)
    with pytest.raises(ValueError, match="of 1 images cannot be shared by 2 processes"):
        batch_of(recipe(batch_size=128), 1)


@pytest.mark.parametrize(("batch", "count"), [(1, 24), (8, 1)])
def test_mixing_batches_of_one_image_is_refused(batch, count):
    with pytest.raises(ValueError, match=r"mix is 0\.5, but a batch of 1 has no pairs .* mix=0"):
        batch_of(recipe(batch_size=batch, mix=0.5), count)


# Holding images back


def test_held_back_images_are_of_the_training_set_and_not_trained_on():
    data = dataset(24)
    images, labels, tests, test_labels = split(recipe(holdout=7), data)
    assert (len(images), len(tests)) == (17, 7)
    together = torch.cat([images, tests]).flatten(1).tolist()
    assert sorted(together) == sorted(data.train_images.flatten(1).tolist())
    for pictures, names in ((images, labels), (tests, test_labels)):
        brightness = pictures.float().mean((1, 2, 3))
        assert torch.equal((brightness // 60).long(), names)


def test_the_same_images_are_held_back_whatever_the_seed():
    first, second = (split(recipe(holdout=7, seed=seed), dataset(24))[2] for seed in (0, 1))
    assert torch.equal(first, second)


@pytest.mark.parametrize("holdout", [1, 2, 22, 24, 30])
def test_holding_back_nearly_nothing_or_everything_is_refused(holdout):
    message = rf"holdout is {holdout}; of 24 images in 3 classes it must be at least 3 .* most 21"
    with pytest.raises(ValueError, match=message):
        split(recipe(holdout=holdout), dataset(24))


def test_mixing_stops_before_the_last_epochs():
    data = dataset()
    settings = recipe(mix=1.0, plain_epochs=1)
    targets = F.one_hot(data.train_labels, 3).float()
    for epoch, mixed in ((1, True), (2, False)):
        batches = batches_of(data.train_images, targets, settings, True, epoch)
        shares = torch.cat([shares for _, shares in batches])
        assert (shares.amax(dim=1) < 1).any().item() == mixed
