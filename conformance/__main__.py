"""Runs every test of this folder, or those named: `python -m conformance [NAME...]`.

Ends with the plain line `N passed, N failed`; a run that ran nothing has failed.
"""

import ast
import sys
import time
import unittest
from pathlib import Path

HERE = Path(__file__).parent


class Result(unittest.TextTestResult):
    """Counts what unittest only derives: a failing `setUpClass` is no test, but it is a failure."""

    passed = 0

    def startTest(self, test):
        self._started = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        self.stream.writeln(f"    {time.monotonic() - self._started:.1f} s")

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1

    def getDescription(self, test):
        return test.id().removeprefix("conformance.")


def shadowed():
    """Classes that a later one of the same name hides: their tests would never run, and nobody would hear of it."""
    for path in sorted(HERE.glob("*.py")):
        names = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
        yield from (f"{path.name} has two classes {name}" for name in sorted(set(names)) if names.count(name) > 1)


def suite(names):
    loader = unittest.TestLoader()
    if names:
        return loader.loadTestsFromNames([f"conformance.{name}" for name in names])
    return loader.discover(str(HERE), pattern="test_*.py", top_level_dir=str(HERE.parent))


def main(names):
    if twice := list(shadowed()):
        print("\n".join(twice), "0 passed, 1 failed", sep="\n")
        return 1
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result)
    result = runner.run(suite(names))
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    skipped = len(result.skipped)
    print(f"{result.passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if result.passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
