"""AWS CLI v1 of PyPI, unmodified: output, pagination, exit codes."""

import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

from conformance.aws import Account, document

AWS = Path(sys.executable).with_name("aws")


class Cli(unittest.TestCase):
    """`aws` with nothing but what `fleetkey local env` prints."""

    @classmethod
    def setUpClass(cls):
        cls.account = Account()
        cls.addClassCleanup(cls.account.stop)
        cls.account.needs(("iam", "GetRole"), ("sts", "GetCallerIdentity"), ("iotdata", "Publish"))

    def test_the_caller_and_the_endpoint_are_the_accounts(self):
        self.assertEqual(self.aws("sts", "get-caller-identity")["Account"], "123456789012")
        answer = self.aws("iot", "describe-endpoint", "--endpoint-type", "iot:Data-ATS")
        self.assertEqual(answer["endpointAddress"], self.account.variables["FLEETKEY_ENDPOINT"])

    def test_pages_are_put_together(self):
        for number in range(5):
            self.aws("iot", "create-policy", "--policy-name", f"paged-{number}", "--policy-document", document())
            self.aws("iot", "create-thing", "--thing-name", f"paged-{number}")
        # Of policies the CLI would take --page-size for the operation's own, and show one page.
        every = self.aws("iot", "list-things", "--page-size", "2")["things"]
        self.assertEqual(len([thing for thing in every if thing["thingName"].startswith("paged-")]), 5)
        every = self.aws("iot", "list-policies")["policies"]
        some = self.aws("iot", "list-policies", "--max-items", "2")
        self.assertEqual(len(some["policies"]), 2)
        more = self.aws("iot", "list-policies", "--starting-token", some["NextToken"])["policies"]
        self.assertEqual([*some["policies"], *more], every)

    def test_an_error_has_its_exit_code_and_its_words(self):
        ran = self.run_aws("iot", "get-policy", "--policy-name", "none")
        self.assertNotEqual(ran.returncode, 0)
        self.assertIn("An error occurred (ResourceNotFoundException) when calling the GetPolicy operation", ran.stderr)
        ran = self.run_aws("iam", "get-role", "--role-name", "none")
        self.assertIn("An error occurred (NoSuchEntity) when calling the GetRole operation", ran.stderr)
        ran = self.run_aws("iot", "list-policies", AWS_SECRET_ACCESS_KEY="A" * 40)
        self.assertIn("(InvalidSignatureException) when calling the ListPolicies operation: The request signature we "
                      "calculated does not match the signature you provided.", ran.stderr)
        ran = self.run_aws("sts", "get-caller-identity", AWS_ACCESS_KEY_ID="AKIA0000000000000000")
        self.assertIn("(InvalidClientTokenId) when calling the GetCallerIdentity operation: The security token included in "
                      "the request is invalid.", ran.stderr)

    def test_files_are_written_and_read(self):
        directory = self.account.core.directory
        made = self.aws("iot", "create-keys-and-certificate", "--set-as-active",
                        "--certificate-pem-outfile", directory / "cli.pem", "--private-key-outfile", directory / "cli.key")
        self.assertIn("BEGIN CERTIFICATE", (directory / "cli.pem").read_text())
        self.assertIn("PRIVATE KEY", (directory / "cli.key").read_text())
        self.aws("iot", "update-certificate", "--certificate-id", made["certificateId"], "--new-status", "INACTIVE")
        self.aws("iot", "delete-certificate", "--certificate-id", made["certificateId"])
        (directory / "event.json").write_text('{"a": 1}')
        self.aws("iot-data", "publish", "--topic", "cli", "--qos", "1", "--retain",
                 "--payload", f"fileb://{directory}/event.json")
        kept = self.aws("iot-data", "list-retained-messages")["retainedTopics"]
        self.assertEqual([message["topic"] for message in kept], ["cli"])

    def test_things_and_tags(self):
        self.aws("iot", "create-thing", "--thing-name", "cli", "--attribute-payload", '{"attributes": {"a": "b"}}')
        self.assertEqual(self.aws("iot", "describe-thing", "--thing-name", "cli")["attributes"], {"a": "b"})
        group = self.aws("iot", "create-thing-group", "--thing-group-name", "cli", "--tags", "Key=k,Value=v")
        tags = self.aws("iot", "list-tags-for-resource", "--resource-arn", group["thingGroupArn"])["tags"]
        self.assertEqual(tags, [{"Key": "k", "Value": "v"}])

    def aws(self, *arguments):
        """The answer, as JSON."""
        ran = self.run_aws(*arguments)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return json.loads(ran.stdout) if ran.stdout.strip() else None

    def run_aws(self, *arguments, **variables):
        own = {"AWS_PAGER": "", "PATH": os.environ["PATH"], "HOME": str(self.account.core.directory)}
        return subprocess.run([sys.executable, AWS, *map(str, arguments)], capture_output=True, text=True, timeout=60,
                              env={**self.account.environment(), **own, **variables})
