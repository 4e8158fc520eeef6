"""Plants known mistakes in copies of src/ and shows which test notices each.

`python -m tests.mutants [PART OF A NAME ...]` copies src/ to a temporary folder for each
*.mutant file here, applies the file, and runs the tests as they are against the copy. It exits
with 1 if a mistake goes unnoticed, or if the tests fail on a copy without a mistake.

A .mutant file has a head (Mistake, Source, File, and Tests if those of another file are to be run
first), a blank line, and lines that begin like a diff's:
"-" to take out, "+" to put in, " " to stay. A line "@@" begins another place in the same file.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOGETHER = 2
SECONDS_ALLOWED = 600


@dataclass(frozen=True)
class Mutant:
    """A mistake: what it is, who made it, in which file of vitlit, and the lines that make it."""

    name: str
    mistake: str
    source: str
    file: str
    tests: str  # the test file to be run first
    places: list[tuple[str, str]]  # before, after

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
        return text


# A mistake is noticed only if the tests pass without one.
SOUND = Mutant("(no mistake)", "", "", "__init__.py", "", [])


def all_mutants() -> list[Mutant]:
    """Every mutant of this folder."""
    return [Mutant.read(path) for path in sorted(HERE.glob("*.mutant"))]


def suites_for(mutant: Mutant) -> list[list[Path]]:
    """The unit tests: those of the file with the mistake, or named by the mutant, then the rest."""
    tests = sorted(ROOT.glob("tests/test_*.py"))
    own = [path for path in tests if path.name == mutant.tests]
    return [suite for suite in (own, [path for path in tests if path not in own]) if suite]


def first_failure(source: Path, suite: list[Path]) -> str | None:
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
    ran = subprocess.run([*pytest, *map(str, suite)], timeout=SECONDS_ALLOWED, **how)
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
