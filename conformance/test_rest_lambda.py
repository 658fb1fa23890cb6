"""Functions by boto3: their code really runs, by hand and as a pre-provisioning hook."""

import contextlib
import io
import json
import zipfile
from pathlib import Path

from botocore.exceptions import ClientError

from conformance.aws import Account, AccountTest, stored
from conformance.sdk import Mqtt5, Rejection
from conformance.test_rest_iam import TRUST
from conformance.test_rest_templates import ROLE_TRUST, template

ECHO = "import json\ndef handler(event, context):\n    return {'echo': event, 'name': context.function_name}\n"
SHIPPED = Path(__file__).parents[1] / "deploy" / "lambda" / "fleetkey_hook.py"
HOOK = """
import time

def handler(event, context):
    serial = event["parameters"].get("SerialNumber", "")
    if serial.startswith("slow"):
        time.sleep(30)
    if serial.startswith("broken"):
        raise ValueError("broken on purpose")
    return {"allowProvisioning": not serial.startswith("denied"),
            "parameterOverrides": {"SerialNumber": serial.replace("raw-", "clean-")}}
"""


class Lambda(AccountTest):
    needs = [("lambda", "CreateFunction"), ("iam", "CreateRole")]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lambda_ = cls.account.client("lambda")
        iam = cls.account.client("iam")
        cls.role = iam.create_role(RoleName="functions", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        cls.provisioning = iam.create_role(RoleName="provisioning", AssumeRolePolicyDocument=ROLE_TRUST)["Role"]["Arn"]

    def test_a_function_is_made_invoked_changed_and_deleted(self):
        name = self.function_name()
        made = self.make(name, ECHO, Environment={"Variables": {"STAGE": "test"}}, Tags={"k": "v"})
        self.assertEqual((made["FunctionName"], made["Runtime"], made["State"], made["Timeout"], made["Version"]),
                         (name, "python3.12", "Active", 5, "$LATEST"))
        self.assertEqual(self.invoke(name, {"x": 1}), {"echo": {"x": 1}, "name": name})
        code = archive(ECHO.replace("echo", "ohce"))
        updated = self.lambda_.update_function_code(FunctionName=name, ZipFile=code)
        self.assertNotEqual(updated["CodeSha256"], made["CodeSha256"])
        self.lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
        self.assertEqual(self.invoke(name, 5), {"ohce": 5, "name": name})
        self.lambda_.update_function_configuration(FunctionName=name, Timeout=3, Description="d")
        read = self.lambda_.get_function(FunctionName=name)
        self.assertEqual((read["Configuration"]["Timeout"], read["Configuration"]["Description"], read["Tags"]), (3, "d", {"k": "v"}))
        self.assertEqual(self.lambda_.get_function_configuration(FunctionName=made["FunctionArn"])["FunctionName"], name)
        self.refused("ResourceConflictException", self.lambda_.create_function, **self.arguments(name, ECHO))
        self.lambda_.delete_function(FunctionName=name)
        for call in [self.lambda_.get_function, self.lambda_.delete_function, self.lambda_.invoke]:
            self.refused("ResourceNotFoundException", call, FunctionName=name)

    def test_an_error_of_the_handler_is_an_answer_with_its_reason(self):
        name = self.function_name()
        self.make(name, "def handler(event, context):\n    raise ValueError('on purpose')\n")
        answer = self.lambda_.invoke(FunctionName=name, Payload=b"{}")
        self.assertEqual((answer["StatusCode"], answer["FunctionError"]), (200, "Unhandled"))
        error = json.loads(answer["Payload"].read())
        self.assertEqual((error["errorType"], error["errorMessage"]), ("ValueError", "on purpose"))

    def test_what_cannot_be_run_is_refused(self):
        for wrong in [{"Runtime": "ruby3.3"}, {"Role": "arn:aws:iam::123456789012:role/none"}]:
            with self.subTest(wrong):
                self.refused("InvalidParameterValueException", self.lambda_.create_function,
                             **{**self.arguments(self.function_name(), ECHO), **wrong})
        self.refused("InvalidParameterValueException", self.lambda_.create_function,
                     **{**self.arguments(self.function_name(), ECHO), "Code": {"ZipFile": b"no archive"}})
        self.refused("ResourceNotFoundException", self.lambda_.update_function_code, FunctionName="none", ZipFile=archive(ECHO))
        self.refused("ResourceNotFoundException", self.lambda_.update_function_configuration, FunctionName="none", Timeout=3)
        name = self.function_name()
        self.make(name, ECHO)
        self.refused("InvalidParameterValueException", self.lambda_.update_function_configuration, FunctionName=name,
                     Environment={"Variables": {"LONG": "x" * 5000}})

    def test_a_package_that_unpacks_to_more_than_250_mb_is_refused(self):
        code, name = packed({"hook.py": ECHO, "zeros": "\0" * 262_144_000}, zipfile.ZIP_DEFLATED), self.function_name()
        self.make(name, ECHO)
        arguments = {**self.arguments(name + "x", ECHO), "Code": {"ZipFile": code}}
        for error in [self.refused("InvalidParameterValueException", self.lambda_.create_function, **arguments),
                      self.refused("InvalidParameterValueException", self.lambda_.update_function_code, FunctionName=name, ZipFile=code)]:
            self.assertEqual(error["Error"]["Message"], "Unzipped size must be smaller than 262144000 bytes")

    def test_an_event_of_more_than_6_mb_is_refused(self):
        name = self.function_name()
        self.make(name, ECHO)
        self.refused("RequestTooLargeException", self.lambda_.invoke, FunctionName=name, Payload=b'"' + b"x" * 6_291_556 + b'"')

    def test_a_name_and_a_qualifier_that_differ_are_refused(self):
        name = self.function_name()
        self.make(name, ECHO)
        statement = {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "iot.amazonaws.com"}
        for call, arguments in [
            (self.lambda_.get_function, {}), (self.lambda_.get_function_configuration, {}), (self.lambda_.invoke, {}),
            (self.lambda_.get_policy, {}), (self.lambda_.remove_permission, {"StatementId": "s"}),
            (self.lambda_.add_permission, statement),
        ]:
            self.refused("InvalidParameterValueException", call, FunctionName=f"{name}:1", Qualifier="2", **arguments)

    def test_what_functions_have_not_here_is_refused(self):
        name = self.function_name()
        for wrong in [{"Layers": ["arn:aws:lambda:us-east-1:123456789012:layer:l:1"]}, {"VpcConfig": {"SubnetIds": ["s"]}}]:
            self.refused("InvalidParameterValueException", self.lambda_.create_function, **self.arguments(name, ECHO, **wrong))
        with self.assertRaises(ClientError) as refused:
            self.lambda_.list_layers()
        error = refused.exception.response
        self.assertEqual((error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]), (501, "NotImplementedException"))
        self.assertIn("ListLayers", self.account.coverage()["lambda"]["notImplemented"])

    def test_no_code_of_strangers_runs(self):
        account = Account("--any-credentials")
        self.addCleanup(account.stop)
        iam, lambda_ = account.client("iam"), account.client("lambda")
        iam.create_role(RoleName="functions", AssumeRolePolicyDocument=TRUST)
        lambda_.create_function(**self.arguments("hook", ECHO))
        with self.assertRaises(ClientError) as refused:
            lambda_.invoke(FunctionName="hook")
        error = refused.exception.response
        self.assertEqual((error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]), (403, "AccessDeniedException"))

    def test_a_machine_that_lambda_has_not_is_refused(self):
        name = self.function_name()
        self.make(name, ECHO)
        # Lambda answers what breaks a constraint with an exception that its model does not have.
        with self.assertRaises(ClientError) as refused:
            self.lambda_.update_function_code(FunctionName=name, ZipFile=archive(ECHO), Architectures=["z80"])
        error = refused.exception.response
        self.assertEqual((error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]), (400, "ValidationException"))

    def test_a_change_of_another_revision_and_an_event_that_is_no_json_are_refused(self):
        name = self.function_name()
        self.make(name, ECHO)
        self.lambda_.add_permission(FunctionName=name, StatementId="s", Action="lambda:InvokeFunction", Principal="iot.amazonaws.com")
        other = {"FunctionName": name, "RevisionId": "00000000-0000-4000-8000-000000000000"}
        for call, arguments in [
            (self.lambda_.update_function_code, {"ZipFile": archive(ECHO)}), (self.lambda_.remove_permission, {"StatementId": "s"}),
            (self.lambda_.update_function_configuration, {"Timeout": 3}),
            (self.lambda_.add_permission, {"StatementId": "t", "Action": "lambda:InvokeFunction", "Principal": "iot.amazonaws.com"}),
        ]:
            self.refused("PreconditionFailedException", call, **other, **arguments)
        self.refused("InvalidRequestContentException", self.lambda_.invoke, FunctionName=name, Payload=b"{no json")

    def test_permissions_are_added_shown_and_removed(self):
        name = self.function_name()
        self.make(name, ECHO)
        permission = dict(FunctionName=name, StatementId="iot", Action="lambda:InvokeFunction", Principal="iot.amazonaws.com",
                          SourceAccount="123456789012")
        statement = json.loads(self.lambda_.add_permission(**permission)["Statement"])
        self.assertEqual((statement["Sid"], statement["Principal"]), ("iot", {"Service": "iot.amazonaws.com"}))
        self.refused("ResourceConflictException", self.lambda_.add_permission, **permission)
        policy = json.loads(self.lambda_.get_policy(FunctionName=name)["Policy"])
        self.assertEqual([statement["Sid"] for statement in policy["Statement"]], ["iot"])
        self.lambda_.remove_permission(FunctionName=name, StatementId="iot")
        self.refused("ResourceNotFoundException", self.lambda_.get_policy, FunctionName=name)
        self.refused("ResourceNotFoundException", self.lambda_.remove_permission, FunctionName=name, StatementId="iot")

    def test_tags_of_a_function_are_changed(self):
        name = self.function_name()
        arn = self.make(name, ECHO, Tags={"a": "1"})["FunctionArn"]
        self.lambda_.tag_resource(Resource=arn, Tags={"b": "2"})
        self.lambda_.untag_resource(Resource=arn, TagKeys=["a"])
        self.assertEqual(self.lambda_.list_tags(Resource=arn)["Tags"], {"b": "2"})
        self.refused("ResourceNotFoundException", self.lambda_.list_tags, Resource=arn + "-none")
        self.refused("InvalidParameterValueException", self.lambda_.tag_resource, Resource=arn,
                     Tags={f"k{number}": "v" for number in range(51)})
        versions = self.lambda_.list_versions_by_function(FunctionName=name)["Versions"]
        self.assertEqual([version["Version"] for version in versions], ["$LATEST"])

    def test_a_published_version_stays_as_it_was(self):
        name = self.function_name()
        made = self.make(name, ECHO)
        first = self.lambda_.publish_version(FunctionName=name, CodeSha256=made["CodeSha256"], Description="first")
        self.assertEqual((first["Version"], first["FunctionArn"], first["Description"]), ("1", made["FunctionArn"] + ":1", "first"))
        self.assertEqual(self.lambda_.publish_version(FunctionName=name)["Version"], "1", "nothing has changed")
        self.lambda_.update_function_code(FunctionName=name, ZipFile=archive(ECHO.replace("echo", "ohce")), Publish=True)
        for arguments, word, version in [({}, "ohce", "$LATEST"), ({"Qualifier": "1"}, "echo", "1"), ({"Qualifier": "2"}, "ohce", "2")]:
            answer = self.lambda_.invoke(FunctionName=name, Payload=b"5", **arguments)
            self.assertEqual((json.load(answer["Payload"])[word], answer["ExecutedVersion"]), (5, version))
        self.assertEqual(self.invoke(first["FunctionArn"], 5)["echo"], 5)
        pages, versions = self.pages(self.lambda_, "list_versions_by_function", "Versions", 2, FunctionName=name)
        self.assertEqual((pages, [version["Version"] for version in versions]), (2, ["$LATEST", "1", "2"]))
        self.lambda_.add_permission(FunctionName=name, Qualifier="2", StatementId="iot", Action="lambda:InvokeFunction",
                                    Principal="iot.amazonaws.com")
        self.assertTrue(json.loads(self.lambda_.get_policy(FunctionName=name, Qualifier="2")["Policy"])["Statement"])
        self.refused("ResourceNotFoundException", self.lambda_.get_policy, FunctionName=name)
        self.refused("InvalidParameterValueException", self.lambda_.publish_version, FunctionName=name, CodeSha256="other")
        self.refused("PreconditionFailedException", self.lambda_.publish_version, FunctionName=name, RevisionId="other")
        self.refused("InvalidParameterValueException", self.lambda_.delete_function, FunctionName=name, Qualifier="$LATEST")
        self.lambda_.delete_function(FunctionName=name, Qualifier="1")
        self.refused("ResourceNotFoundException", self.lambda_.get_function, FunctionName=name, Qualifier="1")
        self.lambda_.delete_function(FunctionName=name)
        self.refused("ResourceNotFoundException", self.lambda_.get_function, FunctionName=name, Qualifier="2")

    def test_what_a_function_prints_is_found_in_its_log_group(self):
        name, logs = self.function_name(), self.account.client("logs")
        self.make(name, "def handler(event, context):\n    print('hello', event['who'])\n    return 1\n")
        self.lambda_.invoke(FunctionName=name, Payload=b'{"who": "logs"}')
        group = f"/aws/lambda/{name}"
        streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
        self.lambda_.invoke(FunctionName=name, Payload=b'{"who": "again"}')
        pages, events = self.pages_by_hand(logs.filter_log_events, "events", logGroupName=group, limit=2)
        self.assertEqual(pages, (len(events) + 1) // 2)
        self.assertIn("hello logs", "".join(event["message"] for event in events))
        stream = {"logGroupName": group, "logStreamName": streams[0]["logStreamName"], "startFromHead": True}
        read, token = [], {}
        while True:
            answer = logs.get_log_events(**stream, **token, limit=3)
            if answer["nextForwardToken"] == token.get("nextToken"):
                break
            read, token = read + answer["events"], {"nextToken": answer["nextForwardToken"]}
        self.assertEqual([event["message"] for event in read], [event["message"] for event in events])
        self.refused("ResourceNotFoundException", logs.get_log_events, logGroupName=group, logStreamName="none")
        self.refused("InvalidParameterException", logs.get_log_events, logGroupName=group, logStreamName="none", limit=10_001)

    def test_functions_are_listed_page_by_page(self):
        names = [f"{self.function_name()}-{number}" for number in range(3)]
        for name in names:
            self.make(name, ECHO)
        pages, functions = self.pages(self.lambda_, "list_functions", "Functions", 2)
        self.assertEqual(pages, (len(functions) + 1) // 2)
        self.assertLessEqual(set(names), {function["FunctionName"] for function in functions})

    def test_a_hook_allows_denies_overrides_fails_and_runs_out_of_time(self):
        name = self.function_name()[:30]
        with self.hooked(name, self.make(name, HOOK)["FunctionArn"]) as register:
            self.assertEqual(register("raw-1").thing_name, "clean-1")
            for serial in ["denied-1", "broken-1", "slow-1"]:
                with self.subTest(serial), self.assertRaises(Rejection) as refused:
                    register(serial)
                self.assertEqual((refused.exception.status_code, refused.exception.error_code), (403, "AccessDenied"))
        things = {thing["thingName"] for thing in self.iot.list_things()["things"]}
        self.assertEqual({thing for thing in things if not thing.startswith("PM500-")}, {"clean-1"})

    def test_the_hook_that_is_shipped_lets_the_listed_serials_in(self):
        name = self.function_name()[:30]
        configuration = {"templates": {name: "serials"}, "serials": ["PM500-*"]}
        code = packed({"fleetkey_hook.py": SHIPPED.read_text(), "fleetkey_hook.json": json.dumps(configuration)})
        arn = self.make(name, ECHO, Handler="fleetkey_hook.handler", Code={"ZipFile": code})["FunctionArn"]
        with self.hooked(name, arn) as register:
            self.assertEqual(register("PM500-1").thing_name, "PM500-1")
            with self.assertRaises(Rejection) as refused:
                register("PM501-1")
            self.assertEqual((refused.exception.status_code, refused.exception.error_code), (403, "AccessDenied"))
        events = self.account.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        self.assertIn('denied "PM501-1": its serial is not on the list', "".join(event["message"] for event in events))

    # --- steps ---

    @contextlib.contextmanager
    def hooked(self, name, arn):
        """RegisterThing, as a function of the serial, by a template whose hook is the function `arn`."""
        self.policy(name)
        self.lambda_.add_permission(FunctionName=name, StatementId="iot", Action="lambda:InvokeFunction",
                                    Principal="iot.amazonaws.com")
        self.iot.create_provisioning_template(
            templateName=name, templateBody=template(name), enabled=True, provisioningRoleArn=self.provisioning,
            preProvisioningHook={"targetArn": arn})
        claim = self.iot.create_provisioning_claim(templateName=name)
        identity = stored(self.account.core.directory, name, claim["certificatePem"], claim["keyPair"]["PrivateKey"])
        with Mqtt5(self.account.core, identity) as connection:
            provisioning = connection.identity()

            def register(serial):
                token = provisioning.create_keys().certificate_ownership_token
                return provisioning.register(name, token, {"SerialNumber": serial})

            yield register

    def function_name(self):
        """A function's name has at most 64 characters."""
        return self.name()[:60]

    def arguments(self, name, code, **more):
        return {"FunctionName": name, "Runtime": "python3.12", "Role": self.role, "Handler": "hook.handler",
                "Code": {"ZipFile": archive(code)}, "Timeout": 5, **more}

    def make(self, name, code, **more):
        made = self.lambda_.create_function(**self.arguments(name, code, **more))
        self.lambda_.get_waiter("function_active_v2").wait(FunctionName=name)
        return made

    def invoke(self, name, event):
        answer = self.lambda_.invoke(FunctionName=name, Payload=json.dumps(event).encode())
        self.assertNotIn("FunctionError", answer)
        return json.loads(answer["Payload"].read())


class Logs(AccountTest):
    needs = [("logs", "CreateLogGroup")]

    def test_a_log_group_is_made_kept_for_a_while_listed_and_deleted(self):
        logs = self.account.client("logs")
        names = [f"/aws/lambda/f{number}" for number in range(3)]
        for name in names:
            logs.create_log_group(logGroupName=name, tags={"k": "v"})
        logs.put_retention_policy(logGroupName=names[0], retentionInDays=14)
        pages, groups = self.pages(logs, "describe_log_groups", "logGroups", 2, logGroupNamePrefix="/aws/lambda/")
        self.assertEqual((pages, [group["logGroupName"] for group in groups]), (2, names))
        self.assertEqual(groups[0]["retentionInDays"], 14)
        logs.delete_retention_policy(logGroupName=names[0])
        again = logs.describe_log_groups(logGroupNamePrefix=names[0])["logGroups"]
        self.assertNotIn("retentionInDays", again[0])
        arn = f"arn:aws:logs:us-east-1:123456789012:log-group:{names[0]}"
        logs.tag_resource(resourceArn=arn, tags={"more": "1"})
        logs.untag_resource(resourceArn=arn, tagKeys=["k"])
        self.assertEqual(logs.list_tags_for_resource(resourceArn=arn)["tags"], {"more": "1"})
        self.refused("ResourceAlreadyExistsException", logs.create_log_group, logGroupName=names[0])
        logs.delete_log_group(logGroupName=names[0])
        self.refused("ResourceNotFoundException", logs.delete_log_group, logGroupName=names[0])
        self.refused("ResourceNotFoundException", logs.put_retention_policy, logGroupName=names[0], retentionInDays=14)


def archive(code):
    """A deployment package of one file, `hook.py`."""
    return packed({"hook.py": code})


def packed(files, compression=zipfile.ZIP_STORED):
    """A deployment package of these files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as file:
        for name, text in files.items():
            file.writestr(name, text)
    return made.getvalue()
