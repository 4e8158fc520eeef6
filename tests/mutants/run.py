"""Plants known mistakes in copies of src/ and shows which test notices each.

`python -m tests.mutants [PART OF A NAME ...]` copies src/ to a temporary folder for each
*.mutant file here, applies the file, and runs the tests as they are against the copy. It exits
with 1 if a mistake goes unnoticed, or if the tests fail on a copy without a mistake.

A .mutant file has a head (Mistake, Source, File, and Tests if others are to be run first: a file,
or FILE -k PART OF A NAME), a blank line, and lines that begin like a diff's:
"-" to take out, "+" to put in, " " to stay. A line "@@" begins another place in the same file.

And for each field of Recipe and of ViTConfig there is a mutant that nobody wrote: those who read
the field where it acts get its default, whatever was set.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

from vitlit.config import ViTConfig
from vitlit.presets import Recipe

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOGETHER = 2
SECONDS_ALLOWED = 600
# Appended to the file that declares a field. What checks, compares and stores a recipe sees what
# was set; only these modules, in which fields act, do not. Two fields act in the record alone.
ACTS = {Recipe: ("train", "batches", "start"), ViTConfig: ("vit", "classifier")}
RECORDED = ("preset", "variant")
IGNORING = """

def _ignore(kind, ignored, modules, recorded):
    import sys
    from dataclasses import MISSING, fields

    field = next(f for f in fields(kind) if f.name == ignored)
    default = field.default_factory() if field.default is MISSING else field.default

    def acts(caller):
        for_record = caller.f_code.co_name in ("summary_of", "explained")
        return caller.f_globals["__name__"] in modules and for_record == recorded

    # A lambda, since the tests' checks of shapes put a frame before every function.
    kind.__getattribute__ = lambda self, name: (
        default
        if name == ignored and acts(sys._getframe(1))
        else object.__getattribute__(self, name)
    )


_ignore({kind}, {field!r}, {modules!r}, {recorded})
"""


@dataclass(frozen=True)
class Mutant:
    """A mistake: what it is, who made it, in which file of vitlit, and the lines that make it."""

    name: str
    mistake: str
    source: str
    file: str
    tests: str  # what is to be run first: a test file, and words for pytest
    places: list[tuple[str, str]]  # before, after
    appended: str = ""  # to the file

    @classmethod
    def read(cls, path: Path) -> "Mutant":
        """Read a .mutant file."""
        head, _, body = path.read_text(encoding="utf-8").partition("\n\n")
        about = dict(line.split(": ", 1) for line in head.splitlines())
        places = []
        for place in re.split(r"^@@\n", body, flags=re.MULTILINE):
            lines = place.splitlines()
            before = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
            after = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
            places.append((before, after))
        tests = about.get("Tests", f"test_{about['File']}")
        return cls(path.stem, about["Mistake"], about["Source"], about["File"], tests, places)

    def applied_to(self, text: str) -> str:
        """The file's text with the mistake in it.

        Raises ValueError where the lines to be changed do not stand in it exactly once.
        """
        for before, after in self.places:
            if text.count(before) != 1:
                raise ValueError(
                    f"{self.name}.mutant no longer fits {self.file}: these lines stand in it "
                    f"{text.count(before)} times, not once; bring the mutant up to date\n{before}"
                )
            text = text.replace(before, after)
        return text + self.appended


# A mistake is noticed only if the tests pass without one.
SOUND = Mutant("(no mistake)", "", "", "__init__.py", "", [])


def ignoring(kind: type, field: str) -> Mutant:
    """The mutant in which a field of Recipe or ViTConfig does nothing."""
    of = {Recipe: "recipe", ViTConfig: "model"}[kind]
    modules = tuple(f"vitlit.{module}" for module in ACTS[kind])
    appended = IGNORING.format(
        kind=kind.__name__, field=field, modules=modules, recorded=field in RECORDED
    )
    return Mutant(
        name=f"ignored_{of}_{field}",
        mistake=f"The field {field} of {kind.__name__} is ignored.",
        source="one for each field",
        file=f"{kind.__module__.rpartition('.')[2]}.py",
        tests=f"test_settings.py -k test_{of}_{field}_",
        places=[],
        appended=appended,
    )


def all_mutants() -> list[Mutant]:
    """Every mutant of this folder, and one for each field that can be set."""
    written = [Mutant.read(path) for path in sorted(HERE.glob("*.mutant"))]
    return written + [ignoring(kind, field.name) for kind in ACTS for field in fields(kind)]


def suites_for(mutant: Mutant) -> list[list[str]]:
    """Words for pytest: the tests of the file with the mistake, or named by the mutant; the rest.

    Where the mutant names some tests of a file, the others of that file belong to the rest.
    """
    file, *words = shlex.split(mutant.tests) or [""]
    tests = sorted(map(str, ROOT.glob("tests/test_*.py")))
    own = [path for path in tests if Path(path).name == file]
    rest = [path for path in tests if path not in own or words]
    return [suite for suite in ([*own, *words] if own else [], rest) if suite]


def first_failure(source: Path, suite: list[str]) -> str | None:
    """Run tests against a copy of src/; the first that fails, or None.

    Raises RuntimeError if they did not run: a copy that cannot be imported proves nothing.
    """
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    how = {"env": environment, "cwd": ROOT, "text": True, "capture_output": True}
    find = [sys.executable, "-c", "import vitlit; print(vitlit.__file__)"]
    found = subprocess.run(find, **how).stdout
    if not found.startswith(str(source)):
        raise RuntimeError(f"the tests would run against {found.strip()}, not against {source}")
    # Imported within vitlit, whose import jaxtyping changes, torchvision would be compiled anew.
    main = "import sys, pytest, torchvision; sys.exit(pytest.main(sys.argv[1:]))"
    pytest = [sys.executable, "-c", main, "-x", "-q", "--tb=line", "-rf"]
    pytest += ["-p", "no:cacheprovider", "-m", "not book and not browser"]
    ran = subprocess.run([*pytest, *suite], timeout=SECONDS_ALLOWED, **how)
    if ran.returncode == 0:
        return None
    failed = re.search(r"^FAILED tests/(.+?)(?: - .*)?$", ran.stdout, flags=re.MULTILINE)
    if ran.returncode != 1 or failed is None:
        raise RuntimeError(f"the tests did not run\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    return failed.group(1)


def killer_of(mutant: Mutant) -> str | None:
    """The first test that notices a mistake, or None."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder).resolve() / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("*.egg-info"))
        file = source / "vitlit" / mutant.file
        file.write_text(mutant.applied_to(file.read_text(encoding="utf-8")), encoding="utf-8")
        try:
            failures = (first_failure(source, suite) for suite in suites_for(mutant))
            return next((failure for failure in failures if failure), None)
        except RuntimeError as error:
            raise RuntimeError(f"{mutant.name}: {error}") from error


def main(parts: list[str]) -> int:
    """Run the mutants whose names contain one of the parts, or all; 1 if one survives."""
    start = time.perf_counter()
    mutants = [m for m in all_mutants() if not parts or any(part in m.name for part in parts)]
    width = max(len(mutant.name) for mutant in [SOUND, *mutants])
    survivors = []
    pool = ThreadPoolExecutor(TOGETHER)
    try:
        sound, *killers = [pool.submit(killer_of, mutant) for mutant in [SOUND, *mutants]]
        for mutant, killer in zip(mutants, killers, strict=True):
            print(f"{mutant.name:<{width}}  {killer.result() or 'SURVIVES'}", flush=True)
            if not killer.result():
                survivors.append(mutant)
        print(f"{SOUND.name:<{width}}  {sound.result() or 'all tests pass'}")
    finally:
        pool.shutdown(cancel_futures=True)
    seconds = time.perf_counter() - start
    print(f"{len(mutants)} mistakes, {len(survivors)} unnoticed, {seconds:.0f} s")
    for mutant in survivors:
        print(f"{mutant.name}: {mutant.mistake} ({mutant.source})")
    return int(bool(survivors or sound.result()))
