"""What docs/local-iot-core.md says that operations refuse with, against AWS's models and against our source.

Tests see only the refusals that they provoke. So here, without a server: an exception that the model gives an operation,
and whose name is somewhere in the source, is in the operation's row, or stands below with the reason why the operation
cannot give it. And a row has nothing that the model does not know of.
"""

import re
import unittest
from pathlib import Path

import botocore.loaders
from botocore.model import ServiceModel

from conformance import page

SOURCE = Path(__file__).parents[1] / "crates" / "iotcore" / "src"

# Of a service that has failed, is overloaded, or does not know the caller; not of a request.
FAILURES = {
    "InternalFailureException", "ServiceFailure", "ServiceException", "ServiceUnavailableException", "ThrottlingException",
}
# What every operation of a service can answer, although its model does not say so.
COMMON = {"iam": {"AccessDenied", "ValidationError"}, "sts": {"AccessDenied", "ValidationError"},
          "lambda": {"AccessDeniedException", "ValidationException"}}
# Exceptions that are given here by some operations of a service and by no other; of each, why.
ONLY = {
    # AWS answers so of a rule that does not exist; otherwise it is of who may do what, which is not enforced.
    ("iot", "UnauthorizedException"): {"DeleteTopicRule", "DisableTopicRule", "EnableTopicRule", "GetTopicRule", "ReplaceTopicRule"},
    ("iot-data", "UnauthorizedException"): set(),
    # Policies of a device, which no caller of the REST API is.
    ("iot-data", "ForbiddenException"): set(),
    # A path with another method is no operation.
    ("iot-data", "MethodNotAllowedException"): set(),
    # Any topic can be asked for.
    ("iot-data", "InvalidRequestException"): {
        "DeleteConnection", "GetConnection", "ListRetainedMessages", "ListSubscriptions", "Publish"},
    # Nobody is denied or throttled.
    ("service-quotas", "AccessDeniedException"): set(),
    ("service-quotas", "TooManyRequestsException"): set(),
    # What is made or grows. Of the others of the model, nothing grows.
    ("iot", "LimitExceededException"): {"AttachPolicy", "AttachPrincipalPolicy", "CreateProvisioningTemplate", "TagResource"},
    ("iam", "LimitExceeded"): {"AttachRolePolicy", "CreatePolicy", "CreatePolicyVersion", "CreateRole", "PutRolePolicy", "TagRole",
                               "UpdateAssumeRolePolicy"},
    # Tags in AWS's name.
    ("iam", "InvalidInput"): {"CreatePolicy", "CreateRole", "TagRole"},
    # Functions run, all else is at once.
    ("lambda", "TooManyRequestsException"): {"Invoke"},
    # A name that is taken. Functions are never Pending, so nothing else is in the way.
    ("lambda", "ResourceConflictException"): {"AddPermission", "CreateFunction"},
}
# One operation, one exception, why it cannot give it.
NEVER = {
    ("iot", "DeletePolicyVersion", "DeleteConflictException"): "the default version is refused as InvalidRequestException",
    ("iot", "DeleteThing", "ResourceNotFoundException"): "one that does not exist is no error",
    ("iot", "RegisterCertificate", "CertificateStateException"): "always refused: no CA can be registered",
    ("iot", "RegisterCertificate", "ResourceAlreadyExistsException"): "always refused: no CA can be registered",
    ("iot", "RegisterCertificateWithoutCA", "CertificateStateException"): "the certificate is new",
    ("lambda", "CreateFunction", "ResourceNotFoundException"): "it names nothing that could be missing but the role",
    ("lambda", "ListTags", "InvalidParameterValueException"): "an ARN that is none means no function",
    ("lambda", "UntagResource", "InvalidParameterValueException"): "a tag that is not there is no error",
    ("logs", "DeleteLogGroup", "ValidationException"): "a constraint is an InvalidParameterException",
    ("sts", "AssumeRole", "ExpiredTokenException"): "of an identity token; a session's end is told before the operation",
}


class Model(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.page = page.operations()
        loader = botocore.loaders.create_loader()
        cls.models = {service: ServiceModel(loader.load_service_model(service, "service-2"))
                      for service in {service for service, _ in cls.page}}
        # As one text: which function gives which exception is not looked at, so a row that lacks one is found.
        files = [path for path in SOURCE.rglob("*.rs") if "tests" not in path.parts and path.name != "tests.rs"]
        text = "\n".join(path.read_text().split("#[cfg(test)]\nmod tests {")[0] for path in files)
        cls.given = set(re.findall(r'"([A-Z][A-Za-z]+)"', text))
        cls.assertIn(cls(), "ResourceNotFoundException", cls.given)

    def test_a_row_has_every_exception_of_the_model_that_the_source_can_give(self):
        lacking = [(service, name, code) for service, name in sorted(self.page)
                   for code in sorted((self.modelled(service, name) & self.given) - self.page[service, name].refusals)
                   if not self.excused(service, name, code)]
        self.assertEqual(lacking, [])

    def test_a_row_has_nothing_that_the_model_does_not_have(self):
        foreign = [(service, name, sorted(row.refusals - self.modelled(service, name) - COMMON.get(service, set())))
                   for (service, name), row in sorted(self.page.items())]
        self.assertEqual([entry for entry in foreign if entry[2]], [])

    def test_no_excuse_is_for_a_row_that_has_the_exception(self):
        stale = [entry for entry in NEVER if entry[2] in self.page[entry[:2]].refusals]
        stale += [(service, name, code) for (service, code), names in ONLY.items() for name in names
                  if code not in self.page[service, name].refusals]
        self.assertEqual(stale, [])

    def modelled(self, service, name):
        """Exceptions of an operation by the names that they have on the wire."""
        shapes = self.models[service].operation_model(name).error_shapes
        return {shape.metadata.get("error", {}).get("code") or shape.name for shape in shapes}

    def excused(self, service, name, code):
        only = ONLY.get((service, code))
        return code in FAILURES or (only is not None and name not in only) or (service, name, code) in NEVER
