"""Sorted last of the REST tests: every operation that is served was called by boto3 here, and nothing answered 500."""

import unittest

from conformance.aws import SEEN, Account

# boto3's name of a service, by the name that it signs with.
SERVICES = {"iot": "iot", "iotdata": "iot-data", "iam": "iam", "sts": "sts", "lambda": "lambda", "logs": "logs"}

# What cannot succeed: a CA cannot be registered here.
REFUSED = {("iot", "RegisterCertificate")}


class Whole(unittest.TestCase):
    """Only with all REST tests in one run: alone it is skipped."""

    @classmethod
    def setUpClass(cls):
        families = {service for service, _, _ in SEEN}
        if not families >= set(SERVICES.values()):
            raise unittest.SkipTest("runs after all of test_rest_*")
        cls.account = Account()
        cls.addClassCleanup(cls.account.stop)

    def test_every_operation_that_is_served_has_succeeded(self):
        report = self.account.coverage()
        served = {(SERVICES[service], name) for service, parts in report.items() for name in parts["implemented"]}
        succeeded = {(service, name) for service, name, error in SEEN if error is None}
        self.assertEqual(sorted(served - succeeded - REFUSED), [])
        print(f"{len(served)} operations, {len({entry for entry in SEEN if entry[2]})} refusals of them by name")

    def test_nothing_answered_an_internal_failure(self):
        internal = [entry for entry in SEEN if entry[2] in ("InternalFailureException", "InternalFailure", "ServiceException", "500")]
        self.assertEqual(internal, [])
