"""The scripts of new users (`new_user.py`, `new_user.sh`) run on an empty account and leave it empty."""

import os
import subprocess
import sys
import unittest
from pathlib import Path

from conformance.aws import Account

SCRIPTS = Path(__file__).parent
# Operation and result of every list that there is, by service.
LISTS = {
    "iot": {"list_policies": "policies", "list_things": "things", "list_thing_types": "thingTypes",
            "list_thing_groups": "thingGroups", "list_provisioning_templates": "templates", "list_topic_rules": "rules"},
    "iam": {"list_roles": "Roles"},
    "lambda": {"list_functions": "Functions"},
}


class NewUser(unittest.TestCase):
    """Policies, roles, a function that runs, group, template, claim; provisioned, rotated, revoked, deleted."""

    def setUp(self):
        self.account = Account()
        self.addCleanup(self.account.stop)

    def test_the_script_of_boto3_passes_and_leaves_nothing(self):
        self.passes(sys.executable, SCRIPTS / "new_user.py")

    def test_the_script_of_the_cli_passes_and_leaves_nothing(self):
        self.passes("bash", SCRIPTS / "new_user.sh")

    def passes(self, *command):
        before, core = self.inventory(), self.account.core
        ran = subprocess.run(command, env=self.environment(), cwd=core.directory, capture_output=True, text=True, timeout=300)
        self.assertEqual(ran.returncode, 0, f"{ran.stdout}\n{ran.stderr}\n--- server\n{core.log_tail()}")
        self.assertIn("a stranger is refused", ran.stdout)
        self.assertIn("the old certificate is refused", ran.stdout)
        self.assertEqual(ran.stdout.splitlines()[-1], "done")
        self.assertEqual(self.inventory(), before)
        left = self.account.client("iot").list_certificates()["certificates"]
        # A certificate that nobody registered waits for its token to end, an hour; nothing else is left.
        self.assertEqual([certificate["status"] for certificate in left], ["PENDING_ACTIVATION"])

    def environment(self):
        """What `fleetkey local env` prints, and the CLI beside this Python on the path."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**self.account.environment(), "AWS_PAGER": "", "HOME": str(self.account.core.directory), "PATH": path}

    def inventory(self):
        found = {}
        for service, lists in LISTS.items():
            client = self.account.client(service)
            for operation, result in lists.items():
                found[f"{service}.{operation}"] = getattr(client, operation)()[result]
        return found
