"""Each check of chapter_checks.py fails when its fault is planted in a sound chapter."""

import copy

import jupytext
import pytest
from chapter_checks import (
    CHECKS,
    CHECKS_OF_THE_BOOK,
    Chapter,
    alike_alt_texts,
    captions_its_pictures,
    defined_in_the_model,
    defines_no_class_of_the_module,
    has_its_parts_in_order,
    has_known_tags,
    has_no_error,
    has_the_whole_model_in_a_cell,
    is_in_step,
    not_shown_once,
    object_at,
    poses_two_exercises,
    shows_one_thing_beside_its_explanation,
    shows_source_as_it_is,
    types_no_accuracy,
    was_run_from_top_to_bottom,
)
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from vitlit.reveal import reveal

SOUND = '''\
# %% [markdown]
# # 5 · Head
#
# **What comes last?**
#
# After this chapter you can
#
# - read a sequence.

# %% tags=["figure"]
from vitlit import figures

figures.pipeline("head")

# %% [markdown] tags=["caption"]
# <!-- alt: Five boxes in a row, the last one of them lit. -->
# **Figure 5.1.** Where we are.

# %% [markdown]
# ## Reading {#reading}
#
# `pool` reads. A tenth of the steps, 10 %, are a warm-up.

# %% tags=["reveal"]
reveal(pool)

# %% [markdown]
# Here is the model.

# %%
import torch


def a(x):
    """Only for those who read the code of this cell."""
    return x


def b(x):
    assert len(x), "the list must not be empty at all"
    return a(x)


def c(x):
    return torch.stack([b(y) for y in x])


def d(x):
    return c(x)


def e(x):
    return d(x)


# %% [markdown]
# ## Receipt {#receipt}
#
# It is compared.

# %%
print(f"{'epoch':<8}{'loss':>8}")
compare(e, e)

# %% [markdown]
# ## Exercises {#exercises}
#
# **1.** Write `one`.

# %% tags=["exercise"]
def one(): ...


def check_one(one):
    assert one() == 1

# %% tags=["solution"] jupyter={"source_hidden": true}
def one():
    return 1


check_one(one)

# %% [markdown]
# **2.** Write `two`.

# %% tags=["exercise"]
def two(): ...


def check_two(two):
    assert two() == 2

# %% tags=["solution"] jupyter={"source_hidden": true}
def two():
    return 2


check_two(two)

# %% [markdown]
# ## In the paper {#paper}
#
# Section 3.1 of [Dosovitskiy et al.](../bibliography.md#dosovitskiy2020).
'''
FIGURE, CAPTION, READING, REVEAL, TEXT, MODEL, RECEIPT, EXERCISE, SOLUTION, PAPER = (
    1, 2, 3, 4, 5, 6, 8, 10, 11, 15,
)  # fmt: skip


def shown(address):
    return new_output(
        "display_data", {"text/markdown": reveal(object_at(address))._repr_markdown_()}
    )


def text(content, kind="text/plain"):
    return new_output("execute_result", {kind: content})


def sound():
    source = jupytext.reads(SOUND, fmt="py:percent")
    stored = copy.deepcopy(source)
    for count, cell in enumerate((c for c in stored.cells if c.cell_type == "code"), 1):
        cell.execution_count = count
    cells = stored.cells
    cells[FIGURE].outputs = [
        new_output(
            "display_data", {"text/html": '<div class="panels">…</div>', "text/plain": "<Picture>"}
        )
    ]
    cells[REVEAL].outputs = [shown("vitlit.heads.pool")]
    cells[RECEIPT].outputs = [
        text("              max |Δ|   max |reference|\noutputs   1e-16   2.1")
    ]
    return Chapter("05_head", source, stored)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_sound_chapter_passes(check):
    assert check(sound()) == []


def edit(i, old, new):
    """A fault that changes the source of a stored cell."""

    def plant(chapter):
        cell = chapter.stored.cells[i]
        assert old in cell.source
        cell.source = cell.source.replace(old, new)

    return plant


def output(i, *outputs):
    """A fault that changes what a cell has put out."""

    def plant(chapter):
        chapter.stored.cells[i].outputs = list(outputs)

    return plant


def tags(i, *names):
    """A fault that changes the tags of a cell."""

    def plant(chapter):
        chapter.stored.cells[i].metadata["tags"] = list(names)

    return plant


def insert(i, cell):
    """A fault that puts another cell before cell i."""

    def plant(chapter):
        chapter.stored.cells.insert(i, cell)

    return plant


def remove(i):
    """A fault that takes cell i away."""

    def plant(chapter):
        del chapter.stored.cells[i]

    return plant


def not_run(chapter):
    chapter.stored.cells[REVEAL].execution_count = None


def run_twice(chapter):
    chapter.stored.cells[PAPER - 1].execution_count = 12


def unfold(chapter):
    del chapter.stored.cells[SOLUTION].metadata["jupyter"]


def unknown_metadata(chapter):
    chapter.stored.cells[TEXT].metadata["slideshow"] = {"slide_type": "skip"}


PICTURE = new_output("display_data", {"image/png": "…"})
OLD_SOURCE = shown("vitlit.heads.pool")
OLD_SOURCE.data["text/markdown"] = OLD_SOURCE.data["text/markdown"].replace("dim=1", "dim=0")
GONE = new_output("display_data", {"text/markdown": '```python title="vitlit.heads.gone"\n1\n```'})

FAULTS = {
    "text of a pair differs": (is_in_step, edit(READING, "reads", "wrote")),
    "tag of a pair differs": (is_in_step, tags(FIGURE, "wide")),
    "cell of a pair is missing": (is_in_step, remove(READING)),
    "solution of a pair unfolded": (is_in_step, unfold),
    "cell not run": (was_run_from_top_to_bottom, not_run),
    "cell run again": (was_run_from_top_to_bottom, run_twice),
    "error stored": (
        has_no_error, output(MODEL, new_output("error", ename="E", evalue="", traceback=[])),
    ),
    "warning stored": (has_no_error, output(MODEL, new_output("stream", name="stderr", text="…"))),
    "source has changed": (shows_source_as_it_is, output(REVEAL, OLD_SOURCE)),
    "source has gone": (shows_source_as_it_is, output(REVEAL, GONE)),
    "another thing is shown": (
        shows_one_thing_beside_its_explanation, output(REVEAL, shown("vitlit.patches.patchify")),
    ),
    "nothing is shown": (shows_one_thing_beside_its_explanation, output(REVEAL)),
    "more than a thing is shown": (
        shows_one_thing_beside_its_explanation, edit(REVEAL, "reveal(pool)", "x = 1\nreveal(pool)"),
    ),
    "shown without the tag": (shows_one_thing_beside_its_explanation, tags(REVEAL)),
    "shown without explanation": (
        shows_one_thing_beside_its_explanation, insert(REVEAL, new_code_cell("import torch")),
    ),
    "shown below a heading alone": (
        shows_one_thing_beside_its_explanation,
        edit(READING, "\n\n`pool` reads. A tenth of the steps, 10 %, are a warm-up.", ""),
    ),
    "accuracy typed": (types_no_accuracy, edit(READING, "reads.", "has an accuracy of 71 %.")),
    "accuracy typed in a caption": (
        types_no_accuracy, edit(CAPTION, "Where we are.", "The accuracy is 0.713 here."),
    ),
    "no caption": (captions_its_pictures, remove(CAPTION)),
    "caption of nothing": (captions_its_pictures, output(FIGURE)),
    "no alt text": (
        captions_its_pictures,
        edit(CAPTION, "<!-- alt: Five boxes in a row, the last one of them lit. -->\n", ""),
    ),
    "alt text too short": (
        captions_its_pictures,
        edit(CAPTION, "Five boxes in a row, the last one of them lit", "Boxes"),
    ),
    "figure misnumbered": (captions_its_pictures, edit(CAPTION, "5.1", "5.2")),
    "figure of another chapter": (captions_its_pictures, edit(CAPTION, "5.1", "4.1")),
    "two pictures in a cell": (captions_its_pictures, output(FIGURE, PICTURE, PICTURE)),
    "picture without a caption": (captions_its_pictures, output(RECEIPT, PICTURE)),
    "one exercise": (poses_two_exercises, remove(EXERCISE)),
    "no solution": (poses_two_exercises, remove(SOLUTION)),
    "solution not folded": (poses_two_exercises, unfold),
    "solution not checked": (poses_two_exercises, edit(SOLUTION, "check_one(one)", "one()")),
    "solution of another": (poses_two_exercises, edit(SOLUTION, "def one", "def uno")),
    "no check": (poses_two_exercises, edit(EXERCISE, "check_one", "try_one")),
    "check asserts nothing": (poses_two_exercises, edit(EXERCISE, "assert one() == 1", "one()")),
    "stub tried": (
        poses_two_exercises, edit(EXERCISE, "one() == 1", "one() == 1\n\n\ncheck_one(one)"),
    ),
    "exercise not numbered": (poses_two_exercises, edit(EXERCISE - 1, "**1.**", "**3.**")),
    "unknown tag": (has_known_tags, tags(FIGURE, "figure", "big")),
    "tag of another kind": (has_known_tags, tags(TEXT, "wide")),
    "unknown metadata": (has_known_tags, unknown_metadata),
    "no question": (has_its_parts_in_order, edit(0, "**What comes last?**", "What comes last?")),
    "no title": (has_its_parts_in_order, edit(0, "# 5 ·", "# Chapter 5:")),
    "title of another chapter": (has_its_parts_in_order, edit(0, "# 5 ·", "# 4 ·")),
    "no aims": (has_its_parts_in_order, edit(0, "After this chapter you can", "You can")),
    "no place in the model": (has_its_parts_in_order, edit(FIGURE, "figures.pipeline", "print")),
    "heading without id": (has_its_parts_in_order, edit(READING, " {#reading}", "")),
    "ids alike": (has_its_parts_in_order, edit(READING, "{#reading}", "{#receipt}")),
    "no receipt": (has_its_parts_in_order, edit(RECEIPT - 1, "{#receipt}", "{#other}")),
    "receipt compares nothing": (has_its_parts_in_order, output(RECEIPT, text("ok"))),
    "no exercises": (has_its_parts_in_order, edit(EXERCISE - 1, "{#exercises}", "{#tasks}")),
    "no paper": (has_its_parts_in_order, remove(PAPER)),
    "paper without a source": (has_its_parts_in_order, edit(PAPER, "../bibliography.md", "")),
    "paper without a section": (has_its_parts_in_order, edit(PAPER, "Section 3.1 of", "See")),
    "something after the paper": (
        has_its_parts_in_order, insert(PAPER + 1, new_markdown_cell("## More {#more}")),
    ),
    "class defined again": (
        defines_no_class_of_the_module, edit(RECEIPT, "compare", "class MLP: ...\n\n\ncompare"),
    ),
    "whole model missing": (has_the_whole_model_in_a_cell, remove(MODEL)),
    "whole model too long": (
        has_the_whole_model_in_a_cell,
        edit(MODEL, "    return d(x)", "    return d(x)" + "\n\n\nx = 1" * 13),
    ),
    "whole model not compared": (has_the_whole_model_in_a_cell, output(RECEIPT, text("ok"))),
}  # fmt: skip


@pytest.mark.parametrize("name", list(FAULTS))
def test_a_check_finds_its_fault(name):
    check, plant = FAULTS[name]
    chapter = sound()
    plant(chapter)
    assert check(chapter) != []


def test_every_check_of_a_chapter_has_been_seen_to_fail():
    assert {check for check, _ in FAULTS.values()} == set(CHECKS)


# Checks of the whole book


def book(*addresses):
    """A chapter that shows what stands at these addresses."""
    chapter = sound()
    chapter.stored.cells[REVEAL].outputs = [shown(address) for address in addresses]
    return chapter


def test_each_definition_must_be_shown_once():
    addresses = defined_in_the_model()
    half = len(addresses) // 2
    assert not_shown_once([book(*addresses[:half]), book(*addresses[half:])]) == []
    assert not_shown_once([book(*addresses[1:])]) == [f"{addresses[0]} is shown nowhere"]
    [twice] = not_shown_once([book(*addresses), book("vitlit.vit.Keep.__call__")])
    assert twice == "vitlit.vit.Keep.__call__ is shown in 05_head, cell 5 and 05_head, cell 5"
    [twice] = not_shown_once([book(*addresses, addresses[3])])
    assert twice.startswith(f"{addresses[3]} is shown in 05_head")


def test_alt_texts_must_differ():
    other = sound()
    edit(CAPTION, "Five boxes", "Four boxes")(other)
    assert alike_alt_texts([sound(), other]) == []
    [fault] = alike_alt_texts([sound(), sound()])
    assert fault.startswith("2 pictures have the alt text 'Five boxes in a row")


def test_all_checks_of_the_book_are_tried_here():
    assert set(CHECKS_OF_THE_BOOK) == {not_shown_once, alike_alt_texts}


# Words
