"""Every operation with its required members on an account where nothing is, then with one member wrong or missing.

Whatever becomes of it stands in the operation's row of docs/local-iot-core.md. That a row holds nothing that no test got
is `test_rest_whole`'s to say; exceptions that need more than this have tests of their own.
"""

from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

from conformance import page
from conformance.aws import AccountTest
from conformance.make_rest_seeds import structure

# What is wrong as a name, an ARN, a document, a token or an enum's value; and what is too long for nearly all of them.
WRONG = {"string": ["a b*", "x" * 3000], "integer": [-1], "long": [-1], "list of string": [["a b*"]], "blob": [b"a b*"],
         "boolean": ["maybe"]}
UNREADABLE = "SerializationException"


class Refusals(AccountTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.page = page.operations()
        # boto3 would refuse some of it itself.
        config = Config(parameter_validation=False, retries={"total_max_attempts": 1}, read_timeout=30)
        cls.clients = {service: cls.account.client(service, config=config) for service, _ in cls.page}

    def test_what_is_not_there_is_refused_as_the_page_says(self):
        # What makes something comes last, or the rest would find it.
        for service, name in sorted(self.page, key=lambda operation: (operation[1].startswith("Create"), operation)):
            with self.subTest(f"{service} {name}"):
                self.ask(service, name, self.required(service, name))

    def test_what_has_a_wrong_member_is_refused_as_the_page_says(self):
        for service, name in sorted(self.page):
            required, shape = self.required(service, name), self.model(service, name).input_shape
            for member in required:
                with self.subTest(f"{service} {name} without {member}"):
                    self.ask(service, name, {other: value for other, value in required.items() if other != member})
            for member, member_shape in (shape.members if shape else {}).items():
                for value in WRONG.get(kind(member_shape), []):
                    with self.subTest(f"{service} {name} {member} {value!r:.20}"):
                        self.ask(service, name, {**required, member: value})

    def ask(self, service, name, arguments):
        """Calls; a refusal must be one of the page's, with the status of its model."""
        client = self.clients[service]
        method = next(method for method, api in client.meta.method_to_api_mapping.items() if api == name)
        try:
            getattr(client, method)(**arguments)
        except (KeyError, ParamValidationError):
            pass  # A part of the path, or of the endpoint, cannot be left out.
        except ClientError as error:
            code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
            self.assertIn(code, self.page[service, name].refusals | {UNREADABLE}, error)
            modelled = {shape.metadata.get("error", {}).get("httpStatusCode") for shape in self.model(service, name).error_shapes
                        if code in (shape.name, shape.error_code)} - {None}
            self.assertIn(status, modelled or range(400, 500), error)

    def required(self, service, name):
        shape = self.model(service, name).input_shape
        return structure(shape, False, 0) if shape else {}

    def model(self, service, name):
        return self.clients[service].meta.service_model.operation_model(name)


def kind(shape):
    return f"list of {shape.member.type_name}" if shape.type_name == "list" else shape.type_name
