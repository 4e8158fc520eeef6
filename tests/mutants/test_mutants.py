"""Every planted mistake still fits the source that it is planted in."""

from dataclasses import fields
from pathlib import Path

import pytest
from run import ROOT, Mutant, all_mutants, suites_for

from vitlit.config import ViTConfig
from vitlit.presets import Recipe

MUTANTS = all_mutants()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_source_and_changes_it(mutant):
    text = (ROOT / "src" / "vitlit" / mutant.file).read_text(encoding="utf-8")
    changed = mutant.applied_to(text)
    assert changed != text
    compile(changed, mutant.file, "exec")
    assert mutant.mistake.endswith(".")
    assert mutant.source


def test_no_two_mutants_are_the_same():
    mistakes = [mutant.mistake for mutant in MUTANTS]
    assert len(set(mistakes)) == len(mistakes) > 0


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_tests_to_be_run_first_are_there(mutant):
    first, *rest = suites_for(mutant)
    assert rest
    text = Path(first[0]).read_text(encoding="utf-8")
    assert not first[1:] or f"def {first[2]}" in text


def test_every_field_is_ignored_once():
    names = {mutant.name for mutant in MUTANTS}
    assert {f"ignored_recipe_{f.name}" for f in fields(Recipe)} <= names
    assert {f"ignored_model_{f.name}" for f in fields(ViTConfig)} <= names


def test_a_mutant_that_no_longer_fits_says_so():
    mutant = Mutant("old", "A mistake.", "nobody", "vit.py", "", [("a line\n", "another\n")])
    with pytest.raises(ValueError, match=r"old\.mutant no longer fits vit\.py.* 0 times"):
        mutant.applied_to("some text\n")
