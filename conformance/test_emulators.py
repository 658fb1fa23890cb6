"""What docs/emulators.md says of moto and MiniStack is so: each row of its table, and no row more."""

import shutil
import unittest
from pathlib import Path

from conformance import emulators
from conformance.aws import Account

PAGE = Path(__file__).parents[1] / "docs" / "emulators.md"


class Emulators(unittest.TestCase):
    """The shared script on all three; skipped where the others are not installed."""

    @classmethod
    def setUpClass(cls):
        if not emulators.installed():
            raise unittest.SkipTest("moto and MiniStack are not installed; ./test conformance does it")
        if shutil.which("unshare") is None:
            raise unittest.SkipTest("no unshare, and MiniStack binds every address")
        account = Account()
        try:
            account.needs(("iam", "CreateRole"), ("sts", "GetCallerIdentity"))
        finally:
            account.stop()

    def test_the_differences_are_those_that_are_documented(self):
        found = {row[0]: row[1:] for row in emulators.differences(emulators.columns())}
        self.assertEqual(found, documented())


def documented():
    """The rows of the table: step, then the outcome of each."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and not line.startswith("| step ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:4] for row in cells}
