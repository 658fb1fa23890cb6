"""One script of operations on three accounts: the local IoT Core, moto_server and MiniStack.

    target/tools/venv/bin/python -m conformance.emulators            starts all three, prints the differences as a table
    python -m conformance.emulators --against http://127.0.0.1:4566  only this one; its outcomes as JSON

The other two are installed from PyPI into a venv of their own (`requirements-emulators.txt`; MiniStack pins another
botocore), named by FLEETKEY_EMULATORS. MiniStack binds every address, so it runs with its client in a network namespace
that has nothing but loopback (`unshare`). docs/emulators.md judges the differences.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from conformance.aws import ELSEWHERE, Account, document
from conformance.process import Process
from conformance.test_rest_templates import ROLE_TRUST, template

VENV = Path(os.environ.get("FLEETKEY_EMULATORS", "target/tools/emulators"))
NONE = "0" * 64


class Script:
    """The operations; each step has a name, and an outcome that does not name what differs by chance."""

    def __init__(self, iot, iam, sts):
        self.iot, self.iam, self.sts = iot, iam, sts
        self.outcomes = {}

    def run(self):
        for part in [self.account, self.policies, self.certificates, self.things, self.groups, self.templates, self.end]:
            part()
        return self.outcomes

    def step(self, name, call, shown=lambda answer: "done", **arguments):
        """Calls; notes what `shown` says of the answer, or the error with its status. The answer, or None."""
        try:
            answer = call(**arguments)
        except ClientError as error:
            response = error.response
            self.outcomes[name] = f"{response['ResponseMetadata']['HTTPStatusCode']} {response['Error']['Code']}"
            return None
        except BotoCoreError as error:
            self.outcomes[name] = type(error).__name__
            return None
        try:
            self.outcomes[name] = str(shown(answer))
        except KeyError as error:
            self.outcomes[name] = f"answers without {error}"
        return answer

    def account(self):
        self.step("GetCallerIdentity", self.sts.get_caller_identity, lambda answer: sorted(set(answer) - {"ResponseMetadata"}))
        self.step("DescribeEndpoint", self.iot.describe_endpoint, lambda answer: bool(answer["endpointAddress"]),
                  endpointType="iot:Data-ATS")
        self.step("DescribeEndpoint of an unknown type", self.iot.describe_endpoint, endpointType="iot:None")

    def policies(self):
        iot = self.iot
        self.step("CreatePolicy", iot.create_policy, lambda answer: answer["policyVersionId"], policyName="p", policyDocument=document())
        self.step("CreatePolicy again", iot.create_policy, policyName="p", policyDocument=document())
        self.step("CreatePolicy, no JSON", iot.create_policy, policyName="q", policyDocument="{")
        self.step("CreatePolicy, 2100 characters", iot.create_policy, policyName="q", policyDocument=document(resource="x" * 2100))
        self.step("CreatePolicy, a blank in the name", iot.create_policy, policyName="a b", policyDocument=document())
        self.step("GetPolicy of none", iot.get_policy, policyName="none")
        for number in range(2, 6):
            self.step(f"CreatePolicyVersion {number}", iot.create_policy_version, lambda answer: answer["policyVersionId"],
                      policyName="p", policyDocument=document())
        self.step("CreatePolicyVersion, the sixth", iot.create_policy_version, policyName="p", policyDocument=document())
        self.step("DeletePolicyVersion of the default", iot.delete_policy_version, policyName="p", policyVersionId="1")
        self.step("DeletePolicy with versions", iot.delete_policy, policyName="p")
        self.step("CreatePolicy, a second", iot.create_policy, policyName="z", policyDocument=document())
        self.step("ListPolicies, a page of one", iot.list_policies, lambda answer: (len(answer["policies"]), "nextMarker" in answer), pageSize=1)
        self.step("ListPolicies, page size 251", iot.list_policies, pageSize=251)

    def certificates(self):
        iot = self.iot
        made = self.step("CreateKeysAndCertificate", iot.create_keys_and_certificate, lambda answer: len(answer["certificateId"]))
        if made is None:
            return
        self.identifier, self.arn = made["certificateId"], made["certificateArn"]
        by = {"certificateId": self.identifier}
        status = lambda answer: answer["certificateDescription"]["status"]  # noqa: E731
        self.step("its status", iot.describe_certificate, status, **by)
        self.step("its notAfter is in 2049", iot.describe_certificate,
                  lambda answer: answer["certificateDescription"]["validity"]["notAfter"].year == 2049, **by)
        self.step("CreateCertificateFromCsr of no CSR", iot.create_certificate_from_csr, certificateSigningRequest="none")
        self.step("DescribeCertificate of none", iot.describe_certificate, certificateId=NONE)
        self.step("UpdateCertificate to PENDING_TRANSFER", iot.update_certificate, **by, newStatus="PENDING_TRANSFER")
        self.step("UpdateCertificate to ACTIVE", iot.update_certificate, **by, newStatus="ACTIVE")
        self.step("AttachPolicy", iot.attach_policy, policyName="p", target=self.arn)
        self.step("AttachPolicy again", iot.attach_policy, policyName="p", target=self.arn)
        self.step("AttachPolicy of none", iot.attach_policy, policyName="none", target=self.arn)
        self.step("AttachPolicy to a certificate that is none", iot.attach_policy, policyName="p",
                  target=self.arn.rpartition("/")[0] + "/" + NONE)
        self.step("ListTargetsForPolicy", iot.list_targets_for_policy, lambda answer: len(answer["targets"]), policyName="p")
        self.step("GetEffectivePolicies", iot.get_effective_policies, lambda answer: len(answer["effectivePolicies"]), principal=self.arn)
        self.step("TestAuthorization", iot.test_authorization,
                  lambda answer: [result["authDecision"] for result in answer["authResults"]], principal=self.arn,
                  authInfos=[{"actionType": action, "resources": [self.arn.replace(f"cert/{self.identifier}", "topic/t")]}
                             for action in ["PUBLISH", "RECEIVE"]])
        self.step("DeletePolicy, attached", iot.delete_policy, policyName="p")

    def things(self):
        iot = self.iot
        self.step("CreateThing", iot.create_thing, thingName="t", attributePayload={"attributes": {"a": "1"}})
        self.step("CreateThing, the same again", iot.create_thing, thingName="t", attributePayload={"attributes": {"a": "1"}})
        self.step("CreateThing, another again", iot.create_thing, thingName="t", attributePayload={"attributes": {"a": "2"}})
        self.step("CreateThing with four attributes and no type", iot.create_thing, thingName="four",
                  attributePayload={"attributes": {name: "1" for name in "abcd"}})
        self.step("CreateThing of a type that is none", iot.create_thing, thingName="typed", thingTypeName="none")
        self.step("UpdateThing, expectedVersion 9", iot.update_thing, thingName="t", expectedVersion=9,
                  attributePayload={"attributes": {}})
        self.step("DescribeThing: version", iot.describe_thing, lambda answer: answer["version"], thingName="t")
        self.step("DescribeThing of none", iot.describe_thing, thingName="none")
        self.step("AttachThingPrincipal, exclusive", iot.attach_thing_principal, thingName="t", principal=self.arn,
                  thingPrincipalType="EXCLUSIVE_THING")
        self.step("CreateThing, a second", iot.create_thing, thingName="u")
        self.step("AttachThingPrincipal of an exclusive certificate", iot.attach_thing_principal, thingName="u", principal=self.arn)
        self.step("AttachThingPrincipal to a thing that is none", iot.attach_thing_principal, thingName="none", principal=self.arn)
        self.step("ListThingPrincipalsV2", iot.list_thing_principals_v2,
                  lambda answer: [item["thingPrincipalType"] for item in answer["thingPrincipalObjects"]], thingName="t")
        self.step("DeleteThing, attached", iot.delete_thing, thingName="t")
        self.step("DeleteThing of none", iot.delete_thing, thingName="none")
        self.step("DeleteCertificate, active", iot.delete_certificate, certificateId=self.identifier)
        self.step("UpdateCertificate to REVOKED", iot.update_certificate, certificateId=self.identifier, newStatus="REVOKED")
        self.step("DeleteCertificate, attached", iot.delete_certificate, certificateId=self.identifier)
        self.step("DeleteCertificate, attached, forced", iot.delete_certificate, certificateId=self.identifier, forceDelete=True)
        self.step("UpdateCertificate of a revoked one to ACTIVE", iot.update_certificate, certificateId=self.identifier, newStatus="ACTIVE")
        self.step("CreateThingType", iot.create_thing_type, thingTypeName="type")
        self.step("DeleteThingType, not deprecated", iot.delete_thing_type, thingTypeName="type")

    def groups(self):
        iot = self.iot
        self.step("CreateThingGroup", iot.create_thing_group, thingGroupName="g")
        self.step("CreateThingGroup again", iot.create_thing_group, thingGroupName="g")
        self.step("CreateThingGroup, another again", iot.create_thing_group, thingGroupName="g",
                  thingGroupProperties={"thingGroupDescription": "other"})
        self.step("CreateThingGroup below", iot.create_thing_group, thingGroupName="h", parentGroupName="g")
        self.step("CreateThingGroup below none", iot.create_thing_group, thingGroupName="i", parentGroupName="none")
        self.step("AddThingToThingGroup", iot.add_thing_to_thing_group, thingGroupName="h", thingName="u")
        self.step("AddThingToThingGroup, its parent too", iot.add_thing_to_thing_group, thingGroupName="g", thingName="u")
        self.step("ListThingsInThingGroup, recursive", iot.list_things_in_thing_group, lambda answer: answer["things"],
                  thingGroupName="g", recursive=True)
        self.step("DeleteThingGroup with children", iot.delete_thing_group, thingGroupName="g")
        self.step("DeleteThingGroup of none", iot.delete_thing_group, thingGroupName="none")
        group = self.arn.replace(f"cert/{self.identifier}", "thinggroup/g")
        for number in range(3):
            self.step(f"CreatePolicy g{number}", iot.create_policy, policyName=f"g{number}", policyDocument=document())
            self.step(f"AttachPolicy to a group, number {number + 1}", iot.attach_policy, policyName=f"g{number}", target=group)

    def templates(self):
        role = self.step("CreateRole", self.iam.create_role, RoleName="r", AssumeRolePolicyDocument=ROLE_TRUST)
        self.step("CreateRole again", self.iam.create_role, RoleName="r", AssumeRolePolicyDocument=ROLE_TRUST)
        self.step("CreateRole, no JSON", self.iam.create_role, RoleName="s", AssumeRolePolicyDocument="{")
        arn = role["Role"]["Arn"] if role else "arn:aws:iam::123456789012:role/r"
        make = lambda name, body, **more: dict(templateName=name, templateBody=body, provisioningRoleArn=arn, **more)  # noqa: E731
        create = self.iot.create_provisioning_template
        self.step("CreateProvisioningTemplate", create, lambda answer: answer["defaultVersionId"], **make("v", template("p")))
        self.step("CreateProvisioningTemplate again", create, **make("v", template("p")))
        self.step("CreateProvisioningTemplate, no JSON", create, **make("w", "{"))
        self.step("CreateProvisioningTemplate, a name of 37", create, **make("w" * 37, template("p")))
        self.step("DescribeProvisioningTemplate: enabled", self.iot.describe_provisioning_template,
                  lambda answer: answer["enabled"], templateName="v")
        self.step("CreateProvisioningTemplateVersion", self.iot.create_provisioning_template_version,
                  lambda answer: (answer["versionId"], answer["isDefaultVersion"]), templateName="v", templateBody=template("p"))
        self.step("DeleteProvisioningTemplate with versions", self.iot.delete_provisioning_template, templateName="v")
        self.step("DeleteProvisioningTemplateVersion of the default", self.iot.delete_provisioning_template_version,
                  templateName="v", versionId=1)
        self.step("CreateProvisioningClaim", self.iot.create_provisioning_claim, lambda answer: "expiration" in answer, templateName="v")

    def end(self):
        self.step("DetachThingPrincipal", self.iot.detach_thing_principal, thingName="t", principal=self.arn)
        self.step("DeleteCertificate with a policy", self.iot.delete_certificate, certificateId=self.identifier)
        self.step("DeleteCertificate with a policy, forced", self.iot.delete_certificate, certificateId=self.identifier, forceDelete=True)
        self.step("DeleteThing, free", self.iot.delete_thing, thingName="t")
        self.step("DeleteRole", self.iam.delete_role, RoleName="r")
        self.step("DeleteRole of none", self.iam.delete_role, RoleName="r")


def outcomes(environment):
    """Runs the script against what the environment names."""
    config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
    with mock.patch.dict(os.environ, environment, clear=True):
        session = boto3.Session()
        clients = [session.client(service, config=config) for service in ["iot", "iam", "sts"]]
    return Script(*clients).run()


def elsewhere(url):
    """The environment for an emulator that takes any key."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**own, **ELSEWHERE, "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}


def fleetkey():
    account = Account()
    try:
        return outcomes(account.environment())
    finally:
        account.stop()


def moto():
    with Process([VENV / "bin" / "moto_server", "-H", "127.0.0.1", "-p", "0"]) as server:
        line = server.line(lambda line: "Running on http://" in line, what="moto_server")
        return outcomes(elsewhere("http" + line.partition("http")[2].strip()))


def ministack():
    """In a namespace: the server, this module as its client, and loopback."""
    inside = [sys.executable, "-m", "conformance.emulators", "--against", "http://127.0.0.1:4566", "--server",
              str((VENV / "bin" / "ministack").absolute())]
    command = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *inside]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=180)
    if ran.returncode != 0:
        raise RuntimeError(f"MiniStack: {ran.stdout[-2000:]}\n{ran.stderr[-4000:]}")
    return json.loads(ran.stdout.splitlines()[-1])


def against(url, server):
    """With a server of our own, or one that runs."""
    if server is None:
        return outcomes(elsewhere(url))
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "TMPDIR": directory, "PYTHONUNBUFFERED": "1"}
        with Process([server], env=environment, cwd=directory) as running:
            running.line(lambda line: "Running on http" in line, what="MiniStack")
            return outcomes(elsewhere(url))


def installed():
    return all((VENV / "bin" / name).exists() for name in ["moto_server", "ministack"])


def columns():
    """The outcomes of each."""
    return {"fleetkey": fleetkey(), "moto": moto(), "MiniStack": ministack()}


def differences(found):
    """The steps that do not have the same outcome everywhere, each with its outcomes."""
    first, *_ = found.values()
    rows = [[step, *(column.get(step, "-") for column in found.values())] for step in first]
    return [row for row in rows if len(set(row[1:])) > 1]


def main():
    options = argparse.ArgumentParser(prog="conformance.emulators")
    options.add_argument("--against")
    options.add_argument("--server")
    given = options.parse_args()
    if given.against:
        print(json.dumps(against(given.against, given.server)))
        return
    found = columns()
    rows = differences(found)
    print("| step | " + " | ".join(found) + " |\n|" + "---|" * (len(found) + 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(f"\n{len(found['fleetkey']) - len(rows)} of {len(found['fleetkey'])} steps have the same outcome everywhere")


if __name__ == "__main__":
    main()
