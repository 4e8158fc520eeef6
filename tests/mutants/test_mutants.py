"""Every planted mistake still fits the source that it is planted in."""

import pytest
from run import HERE, ROOT, Mutant, all_mutants

NAMES = [path.stem for path in sorted(HERE.glob("*.mutant"))]


@pytest.mark.parametrize("name", NAMES)
def test_a_mutant_fits_the_source_and_changes_it(name):
    mutant = Mutant.read(HERE / f"{name}.mutant")
    text = (ROOT / "src" / "vitlit" / mutant.file).read_text(encoding="utf-8")
    changed = mutant.applied_to(text)
    assert changed != text
    compile(changed, mutant.file, "exec")
    assert mutant.mistake.endswith(".")
    assert mutant.source


def test_no_two_mutants_are_the_same():
    mistakes = [mutant.mistake for mutant in all_mutants()]
    assert len(set(mistakes)) == len(mistakes) == len(NAMES) > 0


def test_a_mutant_that_no_longer_fits_says_so():
    mutant = Mutant("old", "A mistake.", "nobody", "vit.py", "", [("a line\n", "another\n")])
    with pytest.raises(ValueError, match=r"old\.mutant no longer fits vit\.py.* 0 times"):
        mutant.applied_to("some text\n")
