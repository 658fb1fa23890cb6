"""Who signs wrongly is refused with AWS's error code; who signs as botocore does is let in."""

import contextlib
import datetime
from unittest import mock

import botocore.auth
import botocore.crt.auth
from botocore.awsrequest import AWSRequest
from botocore.auth import SigV4QueryAuth
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from conformance.aws import AccountTest, document

# AWS's own words (IAM User Guide, "Troubleshooting Signature Version 4 signing"). A date is so many minutes off, by service
# 5 or 15.
MISMATCH = ("^The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
            "and signing method. Consult the service documentation for details.")
UNKNOWN = "^The security token included in the request is invalid.$"
EXPIRED = r"^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 15 min.\)$"
NOT_YET = r"^Signature not yet current: \d{8}T\d{6}Z is still later than \d{8}T\d{6}Z \(\d{8}T\d{6}Z \+ 15 min.\)$"


class Signature(AccountTest):
    """The same answers for the JSON service AWS IoT, and for IAM, STS and Lambda with their own protocols."""

    def test_a_wrong_secret_is_refused(self):
        for service, call in self.calls(aws_secret_access_key="A" * 40):
            self.code(service, call, 403, "InvalidSignatureException", "SignatureDoesNotMatch", MISMATCH)

    def test_an_unknown_key_is_refused(self):
        for service, call in self.calls(aws_access_key_id="AKIA0000000000000000"):
            self.code(service, call, 403, "UnrecognizedClientException", "InvalidClientTokenId", UNKNOWN)

    def test_a_session_token_that_nobody_issued_is_refused(self):
        for service, call in self.calls(aws_session_token="made up"):
            self.code(service, call, 403, "UnrecognizedClientException", "InvalidClientTokenId", UNKNOWN)

    def test_a_date_of_an_hour_ago_or_ahead_is_refused(self):
        for hours, words in [(-1, EXPIRED), (1, NOT_YET)]:
            with frozen(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours)):
                for service, call in self.calls():
                    self.code(service, call, 403, "InvalidSignatureException", "SignatureDoesNotMatch", words)

    def test_a_body_that_changes_after_signing_is_refused(self):
        client = self.account.client("iot")
        client.meta.events.register("before-send.iot.CreatePolicy", tamper_sent)
        self.code("iot", lambda: client.create_policy(policyName="tampered", policyDocument=document()),
                  403, "InvalidSignatureException", None, MISMATCH)
        self.refused("ResourceNotFoundException", self.iot.get_policy, policyName="tampered")

    def test_a_region_that_is_not_the_accounts_is_refused(self):
        client = self.account.client("iot", region_name="eu-central-1")
        self.code("iot", client.list_policies, 403, "InvalidSignatureException", None,
                  "^Credential should be scoped to a valid region, not 'eu-central-1'")

    def test_without_a_signature_nothing_is_answered(self):
        answer = self.send(AWSRequest("GET", self.account.url() + "/policies"))
        self.assertEqual((answer.status_code, answer.headers["x-amzn-errortype"]),
                         (403, "MissingAuthenticationTokenException"))

    def test_a_presigned_request_is_answered_and_one_that_is_changed_is_not(self):
        variables = self.account.variables
        keys = Credentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
        request = AWSRequest("GET", self.account.url() + "/policies", params={"pageSize": "5"})
        SigV4QueryAuth(keys, "iot", variables["AWS_REGION"], expires=60).add_auth(request)
        self.assertEqual(self.send(request).status_code, 200)
        request.url = request.url.replace("pageSize=5", "pageSize=6")
        self.assertEqual(self.send(request).status_code, 403)

    def test_names_that_need_encoding_are_signed_as_botocore_encodes_them(self):
        name = "odd=,.@+-name"
        self.iot.create_policy(policyName=name, policyDocument=document())
        self.assertEqual(self.iot.get_policy(policyName=name)["policyName"], name)
        self.iot.delete_policy(policyName=name)

    # --- steps ---

    def calls(self, **credentials):
        """One harmless call of each service, by a client with these credentials."""
        for service, operation in [("iot", "list_policies"), ("iam", "list_roles"), ("sts", "get_caller_identity"),
                                   ("lambda", "list_functions"), ("logs", "describe_log_groups")]:
            client = self.account.client(service, **{**self.keys(), **credentials})
            yield service, getattr(client, operation)

    def keys(self):
        variables = self.account.variables
        return {"aws_access_key_id": variables["AWS_ACCESS_KEY_ID"],
                "aws_secret_access_key": variables["AWS_SECRET_ACCESS_KEY"]}

    def code(self, service, call, status, json_code, query_code, words):
        with self.subTest(service):
            with self.assertRaises(ClientError) as caught:
                call()
            error = caught.exception.response
            self.assertEqual(
                (error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]),
                (status, query_code if service in ("iam", "sts") else json_code), error)
            self.assertRegex(error["Error"]["Message"], words)

    def send(self, request):
        return URLLib3Session().send(request.prepare())


@contextlib.contextmanager
def frozen(now):
    """botocore's signers take `now` for the time: its own, and those of awscrt, which it prefers where it is installed."""
    def stopped(remove_tzinfo=True):
        return now.replace(tzinfo=None) if remove_tzinfo else now

    with mock.patch.object(botocore.auth, "get_current_datetime", stopped), \
            mock.patch.object(botocore.crt.auth, "get_current_datetime", stopped):
        yield


def tamper_sent(request, **_):
    """Changes what was signed, and lets botocore send it."""
    assert b"iot:Publish" in request.body
    request.body = request.body.replace(b"iot:Publish", b"iot:Connect")
