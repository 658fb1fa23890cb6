"""The script of a new user (`new_user.py`) runs against an empty account and leaves it empty."""

import subprocess
import sys
import unittest
from pathlib import Path

from conformance.aws import Account

SCRIPT = Path(__file__).with_name("new_user.py")
# Operation and result of every list that there is, by service.
LISTS = {
    "iot": {"list_policies": "policies", "list_things": "things", "list_thing_types": "thingTypes",
            "list_thing_groups": "thingGroups", "list_provisioning_templates": "templates", "list_topic_rules": "rules"},
    "iam": {"list_roles": "Roles"},
    "lambda": {"list_functions": "Functions"},
}


class NewUser(unittest.TestCase):
    """Policies, roles, a function that runs, group, template, claim; provisioned, rotated, revoked, deleted."""

    @classmethod
    def setUpClass(cls):
        # A second connection of one client id within a second is what a new user does next.
        cls.account = Account()
        cls.addClassCleanup(cls.account.stop)
        cls.account.needs(("lambda", "CreateFunction"), ("iam", "CreateRole"), ("sts", "GetCallerIdentity"))

    def test_the_script_passes_and_leaves_nothing(self):
        before = self.inventory()
        ran = subprocess.run([sys.executable, SCRIPT], env=self.account.environment(), cwd=self.account.core.directory,
                             capture_output=True, text=True, timeout=180)
        self.assertEqual(ran.returncode, 0, f"{ran.stdout}\n{ran.stderr}\n--- server\n{self.account.core.log_tail()}")
        self.assertIn("a stranger is refused", ran.stdout)
        self.assertIn("the old certificate is refused", ran.stdout)
        self.assertEqual(self.inventory(), before)
        left = self.account.client("iot").list_certificates()["certificates"]
        # A certificate that nobody registered waits for its token to end, an hour; nothing else is left.
        self.assertEqual([certificate["status"] for certificate in left], ["PENDING_ACTIVATION"])

    def inventory(self):
        found, served = {}, self.account.coverage()["iot"]["implemented"]
        for service, lists in LISTS.items():
            client = self.account.client(service)
            for operation, result in lists.items():
                if operation == "list_topic_rules" and "ListTopicRules" not in served:
                    continue
                found[f"{service}.{operation}"] = getattr(client, operation)()[result]
        return found
