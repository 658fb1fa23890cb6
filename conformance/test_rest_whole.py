"""Sorted last of the REST tests: what boto3 saw in all of them is what docs/local-iot-core.md says of each operation."""

import unittest

from conformance import page
from conformance.aws import PAGED, SEEN, Account
from conformance.names import SERVICES

# What cannot succeed: no CA can be registered here.
REFUSED = {("iot", "RegisterCertificate")}
# Not of an operation: who signs wrongly (test_rest_signature).
SIGNATURES = {"InvalidSignatureException", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidClientTokenId"}
# A body, form or query string that cannot be read: any operation, so it is in no row of the table.
UNREADABLE = {"SerializationException", "MalformedInput"}
# One call too many: any operation that has a rate, where the account's rates are kept (test_rest_quotas).
THROTTLED = {"ThrottlingException"}
# Refusals that boto3 cannot provoke, each with the reason.
UNPROVOKED = {
    # A member of the query string given twice.
    ("lambda", "DeleteFunction", "ValidationException"),
    ("lambda", "GetFunction", "ValidationException"),
    ("lambda", "GetFunctionConfiguration", "ValidationException"),
    ("lambda", "GetPolicy", "ValidationException"),
    ("lambda", "RemovePermission", "ValidationException"),
    # A thousand invocations that wait (crates/iotcore/src/functions/tests/limits.rs).
    ("lambda", "Invoke", "TooManyRequestsException"),
    # Ten thousand log groups (crates/iotcore/src/log_groups.rs).
    ("logs", "CreateLogGroup", "LimitExceededException"),
}
# Lists that have one page, whatever there is.
# DescribeLogStreams: one stream a day.
SHORT = {("logs", "DescribeLogStreams"), ("iam", "ListInstanceProfilesForRole")}
# Names under which a model gives the next page.
NEXT = {"nextToken", "nextMarker", "NextMarker", "NextToken", "Marker"}


class Whole(unittest.TestCase):
    """Only with all REST tests in one run: alone it is skipped."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        families = {service for service, _, _ in SEEN}
        if not families >= set(SERVICES.values()):
            raise unittest.SkipTest("runs after all of test_rest_*")
        cls.account = Account()
        cls.addClassCleanup(cls.account.stop)
        cls.page = page.operations()

    def test_the_page_lists_every_operation_that_is_served(self):
        report = self.account.coverage()
        served = {(SERVICES[service], name) for service, parts in report.items() for name in parts["implemented"]}
        self.assertEqual(sorted(served ^ set(self.page)), [])

    def test_every_operation_has_succeeded(self):
        succeeded = {(service, name) for service, name, error in SEEN if error is None}
        self.assertEqual(sorted(set(self.page) - succeeded - REFUSED), [])

    def test_every_refusal_on_the_page_was_seen_and_every_one_that_was_seen_is_there(self):
        documented = {(*operation, code) for operation, row in self.page.items() for code in row.refusals}
        seen = {entry for entry in SEEN if entry[2] and entry[2] not in SIGNATURES | UNREADABLE | THROTTLED
                and entry[:2] in self.page}
        self.assertEqual(sorted(documented - seen - UNPROVOKED), [], "on the page, and no test got it")
        self.assertEqual(sorted(seen - documented), [], "a test got it, and it is not on the page")
        print(f"{len(self.page)} operations, {len(documented)} refusals of them by name")

    def test_every_list_was_read_page_by_page(self):
        paged = {(service, name) for service, name in self.page if self.pages(service, name)}
        self.assertEqual(sorted(paged - PAGED - SHORT), [])
        print(f"{len(paged)} lists")

    def test_nothing_answered_an_internal_failure(self):
        internal = [entry for entry in SEEN if entry[2] in ("InternalFailureException", "InternalFailure", "ServiceException", "500")]
        self.assertEqual(internal, [])

    def pages(self, service, name):
        """Whether the operation answers in pages, by its model."""
        shape = self.account.client(service).meta.service_model.operation_model(name).output_shape
        return shape is not None and bool(NEXT & set(shape.members))
