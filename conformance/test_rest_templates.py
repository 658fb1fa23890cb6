"""Provisioning templates, their versions, and claims by boto3."""

import json

from conformance.aws import AccountTest, stored
from conformance.sdk import Mqtt5, Rejection

ROLE_TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Principal": {"Service": "iot.amazonaws.com"}, "Action": "sts:AssumeRole"}]})


class Templates(AccountTest):
    needs = [("iam", "CreateRole")]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        role = cls.account.client("iam").create_role(RoleName="provisioning", AssumeRolePolicyDocument=ROLE_TRUST)
        cls.role = role["Role"]["Arn"]

    def test_a_template_is_made_described_changed_and_deleted(self):
        name, body = self.short(), template("P")
        made = self.make(name, body, description="d", enabled=False)
        self.assertEqual((made["templateName"], made["defaultVersionId"]), (name, 1))
        self.assertTrue(made["templateArn"].endswith(f":provisioningtemplate/{name}"))
        read = self.iot.describe_provisioning_template(templateName=name)
        self.assertEqual((read["templateBody"], read["enabled"], read["description"], read["type"]),
                         (body, False, "d", "FLEET_PROVISIONING"))
        self.assertEqual(read["provisioningRoleArn"], self.role)
        self.iot.update_provisioning_template(templateName=name, enabled=True, description="e")
        read = self.iot.describe_provisioning_template(templateName=name)
        self.assertEqual((read["enabled"], read["description"]), (True, "e"))
        self.refused("ResourceAlreadyExistsException", self.make, name, body)
        self.iot.delete_provisioning_template(templateName=name)
        for call in [self.iot.describe_provisioning_template, self.iot.delete_provisioning_template]:
            self.refused("ResourceNotFoundException", call, templateName=name)

    def test_versions_are_made_chosen_and_deleted_up_to_five(self):
        name = self.short()
        self.make(name, template("P"))
        second = self.version(name, template("Q"), setAsDefault=True)
        self.assertEqual((second["versionId"], second["isDefaultVersion"]), (2, True))
        self.assertEqual(self.iot.describe_provisioning_template(templateName=name)["templateBody"], template("Q"))
        self.refused("DeleteConflictException", self.iot.delete_provisioning_template, templateName=name)
        for _ in range(3):
            self.version(name, template("Q"))
        self.refused("VersionsLimitExceededException", self.iot.create_provisioning_template_version,
                     templateName=name, templateBody=template("Q"))
        self.refused("DeleteConflictException", self.iot.delete_provisioning_template_version,
                     templateName=name, versionId=2)
        self.iot.update_provisioning_template(templateName=name, defaultVersionId=1)
        read = self.iot.describe_provisioning_template_version(templateName=name, versionId=1)
        self.assertEqual((read["isDefaultVersion"], read["templateBody"]), (True, template("P")))
        pages, versions = self.pages(self.iot, "list_provisioning_template_versions", "versions", 2, templateName=name)
        self.assertEqual((pages, sorted(version["versionId"] for version in versions)), (3, [1, 2, 3, 4, 5]))
        for version in range(2, 6):
            self.iot.delete_provisioning_template_version(templateName=name, versionId=version)
        self.iot.delete_provisioning_template(templateName=name)

    def test_what_does_not_exist_is_not_found(self):
        self.make(self.short(), template("P"))
        for call in [self.iot.describe_provisioning_template_version, self.iot.delete_provisioning_template_version]:
            self.refused("ResourceNotFoundException", call, templateName=self.short(), versionId=9)
            self.refused("ResourceNotFoundException", call, templateName="none", versionId=1)
        self.refused("ResourceNotFoundException", self.iot.create_provisioning_template_version,
                     templateName="none", templateBody=template("P"))
        for call in [self.iot.list_provisioning_template_versions, self.iot.create_provisioning_claim]:
            self.refused("ResourceNotFoundException", call, templateName="none")
        self.refused("ResourceNotFoundException", self.iot.update_provisioning_template, templateName="none")

    def test_more_than_fifty_tags_are_over_the_limit(self):
        self.refused("LimitExceededException", self.iot.create_provisioning_template, templateName=self.short(),
                     templateBody=template("P"), provisioningRoleArn=self.role,
                     tags=[{"Key": str(number), "Value": "x"} for number in range(51)])

    def test_a_body_that_is_no_template_is_refused(self):
        for body in ["", "{", "[]", json.dumps({"Parameters": {}}), json.dumps({"Resources": {"x": {"Type": "AWS::S3::Bucket"}}})]:
            with self.subTest(body):
                self.refused("InvalidRequestException", self.make, self.short(), body)
        self.refused("InvalidRequestException", self.make, "x" * 37, template("P"))

    def test_the_list_is_paged(self):
        names = [self.short(f"-{number}") for number in range(3)]
        for name in names:
            self.make(name, template("P"))
        pages, templates = self.pages(self.iot, "list_provisioning_templates", "templates", 1)
        self.assertEqual(pages, len(templates))
        self.assertLessEqual(set(names), {found["templateName"] for found in templates})

    def test_a_role_that_aws_iot_cannot_assume_is_refused(self):
        iam, name = self.account.client("iam"), self.short()
        other = iam.create_role(RoleName=name, AssumeRolePolicyDocument=ROLE_TRUST.replace("iot.", "lambda."))["Role"]["Arn"]
        for role in [other, other + "-none"]:
            error = self.refused("InvalidRequestException", self.iot.create_provisioning_template, templateName=name,
                                 templateBody=template("P"), provisioningRoleArn=role)
            self.assertIn("The provisioning role cannot be assumed by AWS IoT", error["Error"]["Message"])
        self.make(name, template("P"))
        self.refused("InvalidRequestException", self.iot.update_provisioning_template, templateName=name, provisioningRoleArn=other)

    def test_a_claim_of_a_user_provisions_a_device_while_the_template_is_enabled(self):
        name = self.short()
        self.policy(name)
        self.make(name, template(name))
        claim = self.iot.create_provisioning_claim(templateName=name)
        self.assertGreater(claim["expiration"].timestamp(), 0)
        identity = stored(self.account.core.directory, name, claim["certificatePem"], claim["keyPair"]["PrivateKey"])
        with Mqtt5(self.account.core, identity) as connection:
            provisioning = connection.identity()
            with self.assertRaises(Rejection):
                provisioning.register(name, provisioning.create_keys().certificate_ownership_token, {"SerialNumber": name})
            self.iot.update_provisioning_template(templateName=name, enabled=True)
            issued = provisioning.create_keys()
            answer = provisioning.register(name, issued.certificate_ownership_token, {"SerialNumber": name})
        self.assertEqual(answer.thing_name, name)
        attached = self.iot.list_thing_principals_v2(thingName=name)["thingPrincipalObjects"]
        self.assertEqual([item["principal"].rpartition("/")[2] for item in attached], [issued.certificate_id])

    # --- steps ---

    def short(self, suffix=""):
        """A template's name has at most 36 characters."""
        return self.name()[:30].strip("_") + suffix

    def make(self, name, body, **more):
        return self.iot.create_provisioning_template(
            templateName=name, templateBody=body, provisioningRoleArn=self.role, **more)

    def version(self, name, body, **more):
        return self.iot.create_provisioning_template_version(templateName=name, templateBody=body, **more)

    def refused(self, code, call, *positional, **arguments):
        if call == self.make:
            name, body = positional
            arguments.update(templateName=name, templateBody=body, provisioningRoleArn=self.role)
            call = self.iot.create_provisioning_template
        return super().refused(code, call, **arguments)


def template(policy):
    """A template that makes thing and certificate and attaches `policy`."""
    return json.dumps({
        "Parameters": {"SerialNumber": {"Type": "String"}, "AWS::IoT::Certificate::Id": {"Type": "String"}},
        "Resources": {
            "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "SerialNumber"}}},
            "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
                "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"}},
            "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": policy}},
        },
    })
