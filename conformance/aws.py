"""boto3 as its users have it: only `AWS_ENDPOINT_URL` and the keys that `fleetkey local env` prints.

What boto3 reads of an answer it looks up in the service's model and silently leaves out the rest, so a misspelt
member would go unnoticed. `Strict` looks at the raw answer too: every member must be one of the model's, of its type.
"""

import json
import os
import unittest
import urllib.request
from unittest import mock

import boto3
from botocore.config import Config

from conformance.fleet import Core, Identity
from conformance.process import BOUND

# Nothing of the machine that the tests run on: no profile, no other region, no instance's role.
ELSEWHERE = {
    "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true",
}

EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}

# What was called and how it ended: (service, operation, exception or None). Filled by every client made here.
SEEN = set()
# What answered more than one page: (service, operation).
PAGED = set()


class Account:
    """A local IoT Core that is empty unless it is set up, and clients of it."""

    def __init__(self, *options, setup=False, **core):
        self.core = Core(*options, setup=setup, **core)
        self.variables = self.core.environment()

    def stop(self):
        self.core.stop()

    def environment(self):
        """The environment of a process that uses it."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {**own, **ELSEWHERE, **self.variables}

    def client(self, service, **options):
        """A client of boto3, checked by `Strict`; `options` are boto3's own."""
        options.setdefault("config", Config(retries={"total_max_attempts": 1}, read_timeout=30))
        with mock.patch.dict(os.environ, self.environment(), clear=True):
            client = boto3.Session().client(service, **options)
        client.meta.events.register("response-received", Strict(client))
        return client

    def operator(self):
        """The identity of somebody who may do everything."""
        iot = self.client("iot")
        made = iot.create_keys_and_certificate(setAsActive=True)
        iot.create_policy(policyName="everything", policyDocument=json.dumps(EVERYTHING))
        iot.attach_policy(policyName="everything", target=made["certificateArn"])
        return stored(self.core.directory, "operator", made["certificatePem"], made["keyPair"]["PrivateKey"])

    def coverage(self):
        """What is served, and how often it was called, by signing name."""
        with urllib.request.urlopen(self.url() + "/_fleetkey/coverage", timeout=BOUND) as answer:
            return json.load(answer)["services"]

    def needs(self, *operations):
        """Skips what asks for operations that are not served."""
        served = self.coverage()
        missing = [name for service, name in operations if name not in served[service]["implemented"]]
        if missing:
            raise unittest.SkipTest(f"not served yet: {', '.join(missing)}")

    def url(self):
        return self.variables["AWS_ENDPOINT_URL"]


class Strict:
    """Compares each raw JSON answer with the model that boto3 reads it by, and notes what was called."""

    def __init__(self, client):
        self._model = client.meta.service_model
        self._service = client.meta.service_model.service_name

    def __call__(self, event_name, response_dict, parsed_response, **_):
        operation = event_name.rpartition(".")[2]
        error = (parsed_response or {}).get("Error", {}).get("Code")
        SEEN.add((self._service, operation, error))
        if response_dict is None or response_dict["status_code"] >= 300:
            return
        shape = self._model.operation_model(operation).output_shape
        if shape is None or self._model.protocol not in ("rest-json", "json"):
            return
        body = response_dict["body"]
        if "payload" in shape.serialization or not body:
            return
        members = {name: member for name, member in shape.members.items()
                   if member.serialization.get("location") is None}
        self._structure(operation, json.loads(body), members)

    def _check(self, path, value, shape):
        if value is None:
            return
        kinds = {
            "string": str, "boolean": bool, "integer": int, "long": int, "float": (int, float),
            "double": (int, float), "timestamp": (int, float), "blob": str, "list": list, "map": dict,
            "structure": dict,
        }
        wrong = not isinstance(value, kinds[shape.type_name]) or (
            isinstance(value, bool) and shape.type_name != "boolean")
        # Lambda writes its dates as text.
        if wrong and not (shape.type_name == "timestamp" and isinstance(value, str)):
            raise AssertionError(f"{path} is {value!r}, not a {shape.type_name}")
        if shape.type_name == "structure":
            self._structure(path, value, shape.members, shape.required_members)
        elif shape.type_name == "list":
            for item in value:
                self._check(f"{path}[]", item, shape.member)
        elif shape.type_name == "map":
            for key, item in value.items():
                self._check(f"{path}.{key}", item, shape.value)
        elif getattr(shape, "enum", None) and value not in shape.enum:
            raise AssertionError(f"{path} is {value!r}, none of {shape.enum}")

    def _structure(self, path, value, members, required=()):
        by_wire_name = {member.serialization.get("name", name): member for name, member in members.items()}
        for name, item in value.items():
            if name not in by_wire_name:
                raise AssertionError(f"{path} answers {name!r}, which is no member of {sorted(by_wire_name)}")
            self._check(f"{path}.{name}", item, by_wire_name[name])
        missing = set(required) - set(value)
        if missing:
            raise AssertionError(f"{path} lacks {sorted(missing)}")


class AccountTest(unittest.TestCase):
    """A test class with an account of its own, shared by its tests; each test uses names of its own."""

    # Operations that the tests are about, as (signing name, operation).
    needs = ()
    # What the account's process is told besides.
    options = ()

    @classmethod
    def setUpClass(cls):
        cls.account = Account(*cls.options)
        cls.addClassCleanup(cls.account.stop)
        cls.account.needs(*cls.needs)
        cls.iot = cls.account.client("iot")

    def name(self, suffix=""):
        """A name that no other test uses; it says whose it is."""
        return (self._testMethodName.removeprefix("test_")[:80] + suffix).replace("-", "_")

    def refused(self, code, call, **arguments):
        """Calls and expects the exception class `code` of the model, with the model's status; the error."""
        client = call.__self__
        expected = getattr(client.exceptions, code)
        with self.assertRaises(expected) as caught:
            call(**arguments)
        error = caught.exception.response
        shape = next(shape for shape in client.meta.service_model.error_shapes
                     if shape.name == code or shape.error_code == error["Error"]["Code"])
        # The models of JSON services name no status: it is 400.
        status = shape.metadata.get("error", {}).get("httpStatusCode", 400)
        self.assertEqual(error["ResponseMetadata"]["HTTPStatusCode"], status)
        self.assertTrue(error["Error"]["Message"], "the error says why")
        return error

    def pages(self, client, operation, result, size, **arguments):
        """All items by boto3's own paginator, `size` a page; how many pages there were, and the items."""
        paginator = client.get_paginator(operation)
        pages = list(paginator.paginate(**arguments, PaginationConfig={"PageSize": size}))
        if len(pages) > 1:
            PAGED.add((client.meta.service_model.service_name, client.meta.method_to_api_mapping[operation]))
        return len(pages), [item for page in pages for item in page[result]]

    def pages_by_hand(self, call, result, **arguments):
        """The same for a list whose pages boto3 cannot size; `arguments` say how many items a page has."""
        client, items, pages, token = call.__self__, [], 0, {}
        while True:
            answer = call(**arguments, **token)
            items, pages = [*items, *answer[result]], pages + 1
            asked = {"NextToken": "NextToken", "nextToken": "nextToken", "Marker": "Marker", "NextMarker": "Marker"}
            token = {asked[name]: answer[name] for name in asked if answer.get(name)}
            if not token:
                break
        if pages > 1:
            PAGED.add((client.meta.service_model.service_name, client.meta.method_to_api_mapping[call.__name__]))
        return pages, items

    # --- what many tests need ---

    def policy(self, name, action="iot:Publish", resource="*"):
        self.iot.create_policy(policyName=name, policyDocument=document(action, resource))
        return name

    def certificate(self, active=True):
        """A certificate's description by CreateKeysAndCertificate."""
        return self.iot.create_keys_and_certificate(setAsActive=active)


def document(action="iot:Publish", resource="*", effect="Allow"):
    """A policy document of one statement."""
    statement = {"Effect": effect, "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def stored(directory, client_id, certificate, key):
    """A certificate and its key as files, as a device has them; its identity."""
    identity = Identity(client_id, directory / f"{client_id}.cert.pem", directory / f"{client_id}.key.pem")
    for path, text in [(identity.certificate, certificate), (identity.key, key)]:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
    return identity
