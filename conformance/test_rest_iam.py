"""IAM and STS by boto3: roles and their policies, who calls."""

import json

from conformance.aws import AccountTest, document

TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
MANAGED = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
REGISTRATION = "arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration"


class Iam(AccountTest):
    needs = [("iam", "CreateRole"), ("sts", "GetCallerIdentity")]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.iam = cls.account.client("iam")

    def test_a_role_is_made_read_and_deleted(self):
        name = self.role_name()
        made = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST, Description="d",
                                    Path="/fleet/", Tags=[{"Key": "k", "Value": "v"}])["Role"]
        self.assertEqual(made["Arn"], f"arn:aws:iam::123456789012:role/fleet/{name}")
        self.assertTrue(made["RoleId"].startswith("AROA"))
        read = self.iam.get_role(RoleName=name)["Role"]
        self.assertEqual((read["AssumeRolePolicyDocument"], read["Description"], read["CreateDate"]),
                         (json.loads(TRUST), "d", made["CreateDate"]))
        tags = self.iam.list_role_tags(RoleName=name)["Tags"]
        self.assertEqual(tags, [{"Key": "k", "Value": "v"}])
        self.refused("EntityAlreadyExistsException", self.iam.create_role, RoleName=name, AssumeRolePolicyDocument=TRUST)
        self.iam.delete_role(RoleName=name)
        self.refused("NoSuchEntityException", self.iam.get_role, RoleName=name)
        self.refused("NoSuchEntityException", self.iam.delete_role, RoleName=name)

    def test_a_trust_policy_that_is_none_is_refused(self):
        for text in ["{", "{}", "[]"]:
            with self.subTest(text):
                self.refused("MalformedPolicyDocumentException", self.iam.create_role, RoleName=self.role_name(),
                             AssumeRolePolicyDocument=text)

    def test_a_role_with_policies_stays(self):
        name = self.role_name()
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        self.iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=document())
        self.refused("DeleteConflictException", self.iam.delete_role, RoleName=name)
        read = self.iam.get_role_policy(RoleName=name, PolicyName="inline")
        self.assertEqual(read["PolicyDocument"], json.loads(document()))
        self.assertEqual(self.iam.list_role_policies(RoleName=name)["PolicyNames"], ["inline"])
        self.iam.delete_role_policy(RoleName=name, PolicyName="inline")
        self.refused("NoSuchEntityException", self.iam.delete_role_policy, RoleName=name, PolicyName="inline")
        self.refused("NoSuchEntityException", self.iam.get_role_policy, RoleName=name, PolicyName="inline")
        self.iam.attach_role_policy(RoleName=name, PolicyArn=MANAGED)
        self.refused("DeleteConflictException", self.iam.delete_role, RoleName=name)
        attached = self.iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        self.assertEqual(attached, [{"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": MANAGED}])
        self.iam.detach_role_policy(RoleName=name, PolicyArn=MANAGED)
        self.refused("NoSuchEntityException", self.iam.detach_role_policy, RoleName=name, PolicyArn=MANAGED)
        self.iam.delete_role(RoleName=name)

    def test_what_does_not_exist_is_not_found(self):
        for call, arguments in [
            (self.iam.put_role_policy, {"PolicyName": "p", "PolicyDocument": document()}),
            (self.iam.attach_role_policy, {"PolicyArn": MANAGED}),
            (self.iam.list_role_policies, {}), (self.iam.list_attached_role_policies, {}),
            (self.iam.update_assume_role_policy, {"PolicyDocument": TRUST}),
        ]:
            self.refused("NoSuchEntityException", call, RoleName="none", **arguments)
        name = self.role_name()
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        self.refused("NoSuchEntityException", self.iam.attach_role_policy, RoleName=name,
                     PolicyArn="arn:aws:iam::123456789012:policy/none")

    def test_lists_are_paged(self):
        names = [f"{self.role_name()}-{number}" for number in range(5)]
        for name in names:
            self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        pages, roles = self.pages(self.iam, "list_roles", "Roles", 2)
        self.assertEqual(pages, (len(roles) + 1) // 2)
        self.assertLessEqual(set(names), {role["RoleName"] for role in roles})
        for number in range(3):
            self.iam.put_role_policy(RoleName=names[0], PolicyName=f"p{number}", PolicyDocument=document())
        pages, policies = self.pages(self.iam, "list_role_policies", "PolicyNames", 2, RoleName=names[0])
        self.assertEqual((pages, policies), (2, ["p0", "p1", "p2"]))
        for arn in [MANAGED, REGISTRATION]:
            self.iam.attach_role_policy(RoleName=names[0], PolicyArn=arn)
        pages, attached = self.pages(self.iam, "list_attached_role_policies", "AttachedPolicies", 1, RoleName=names[0])
        self.assertEqual((pages, {policy["PolicyArn"] for policy in attached}), (2, {MANAGED, REGISTRATION}))

    def test_holders_tags_and_policies_are_listed_page_by_page(self):
        name = self.role_name()[:50]
        arns = [self.iam.create_policy(PolicyName=f"{name}-{number}", PolicyDocument=document())["Policy"]["Arn"]
                for number in range(3)]
        for number in range(3):
            self.iam.create_role(RoleName=f"{name}-{number}", AssumeRolePolicyDocument=TRUST)
            self.iam.attach_role_policy(RoleName=f"{name}-{number}", PolicyArn=arns[0])
        pages, roles = self.pages(self.iam, "list_entities_for_policy", "PolicyRoles", 2, PolicyArn=arns[0])
        self.assertEqual((pages, [role["RoleName"] for role in roles]), (2, [f"{name}-{number}" for number in range(3)]))
        _, mine = self.pages(self.iam, "list_policies", "Policies", 2, Scope="Local")
        self.assertLessEqual(set(arns), {policy["Arn"] for policy in mine})
        tags = [{"Key": f"k{number}", "Value": "v"} for number in range(3)]
        self.iam.tag_role(RoleName=f"{name}-0", Tags=tags)
        self.assertEqual(self.pages_by_hand(self.iam.list_role_tags, "Tags", RoleName=f"{name}-0", MaxItems=2), (2, tags))

    def test_a_managed_policy_has_five_versions_at_most(self):
        arn = self.iam.create_policy(PolicyName=self.role_name(), PolicyDocument=document())["Policy"]["Arn"]
        for _ in range(4):
            self.iam.create_policy_version(PolicyArn=arn, PolicyDocument=document())
        self.refused("LimitExceededException", self.iam.create_policy_version, PolicyArn=arn, PolicyDocument=document())

    def test_a_role_has_ten_policies_at_most(self):
        name = self.role_name()
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        arns = [self.iam.create_policy(PolicyName=f"{name}-{number}", PolicyDocument=document())["Policy"]["Arn"]
                for number in range(11)]
        for arn in arns[:10]:
            self.iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        self.refused("LimitExceededException", self.iam.attach_role_policy, RoleName=name, PolicyArn=arns[10])
        self.assertEqual(len(self.iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]), 10)

    def test_a_document_that_is_too_long_is_refused(self):
        name = self.role_name()
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        eleven_thousand = document(resource=[f"arn:aws:iot:us-east-1:123456789012:topic/{number:0100}" for number in range(80)])
        self.assertGreater(len(eleven_thousand), 11_000)
        self.refused("LimitExceededException", self.iam.put_role_policy, RoleName=name, PolicyName="long",
                     PolicyDocument=eleven_thousand)
        self.assertEqual(self.iam.list_role_policies(RoleName=name)["PolicyNames"], [])
        self.refused("LimitExceededException", self.iam.create_policy, PolicyName=name, PolicyDocument=eleven_thousand)
        trust = json.loads(TRUST)
        trust["Statement"][0]["Sid"] = "x" * 2048
        self.refused("LimitExceededException", self.iam.update_assume_role_policy, RoleName=name, PolicyDocument=json.dumps(trust))
        self.refused("LimitExceededException", self.iam.create_role, RoleName=name + "x",
                     AssumeRolePolicyDocument=json.dumps(trust))

    def test_fifty_tags_is_the_most_and_keys_of_aws_are_refused(self):
        name = self.role_name()
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        for code, tags in [("LimitExceededException", [{"Key": f"k{number}", "Value": "v"} for number in range(51)]),
                           ("InvalidInputException", [{"Key": "aws:k", "Value": "v"}])]:
            with self.subTest(code):
                self.refused(code, self.iam.tag_role, RoleName=name, Tags=tags)
                self.refused(code, self.iam.create_role, RoleName=name + "x", AssumeRolePolicyDocument=TRUST, Tags=tags)
                self.refused(code, self.iam.create_policy, PolicyName=name, PolicyDocument=document(), Tags=tags)

    def test_a_role_is_changed_and_tagged(self):
        name = self.role_name()
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        other = TRUST.replace("lambda.amazonaws.com", "iot.amazonaws.com")
        self.iam.update_assume_role_policy(RoleName=name, PolicyDocument=other)
        self.iam.update_role(RoleName=name, Description="changed", MaxSessionDuration=7200)
        role = self.iam.get_role(RoleName=name)["Role"]
        self.assertEqual((role["AssumeRolePolicyDocument"], role["Description"], role["MaxSessionDuration"]),
                         (json.loads(other), "changed", 7200))
        self.iam.tag_role(RoleName=name, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
        self.iam.untag_role(RoleName=name, TagKeys=["a"])
        self.assertEqual(self.iam.list_role_tags(RoleName=name)["Tags"], [{"Key": "b", "Value": "2"}])
        self.assertEqual(self.iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"], [])
        self.refused("MalformedPolicyDocumentException", self.iam.update_assume_role_policy, RoleName=name, PolicyDocument="{")

    def test_a_managed_policy_of_ones_own_has_versions_and_is_attached(self):
        name = self.role_name()
        arn = self.iam.create_policy(PolicyName=name, PolicyDocument=document())["Policy"]["Arn"]
        self.assertEqual(arn, f"arn:aws:iam::123456789012:policy/{name}")
        self.refused("EntityAlreadyExistsException", self.iam.create_policy, PolicyName=name, PolicyDocument=document())
        self.refused("MalformedPolicyDocumentException", self.iam.create_policy, PolicyName=name + "x", PolicyDocument="{")
        self.assertEqual(self.iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"], "v1")
        self.iam.create_policy_version(PolicyArn=arn, PolicyDocument=document("iot:Connect"), SetAsDefault=True)
        version = self.iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]
        self.assertEqual((version["Document"], version["IsDefaultVersion"]), (json.loads(document("iot:Connect")), True))
        self.refused("DeleteConflictException", self.iam.delete_policy_version, PolicyArn=arn, VersionId="v2")
        self.iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
        pages, versions = self.pages(self.iam, "list_policy_versions", "Versions", 1, PolicyArn=arn)
        self.assertEqual((pages, sorted(version["VersionId"] for version in versions)), (2, ["v1", "v2"]))
        self.refused("DeleteConflictException", self.iam.delete_policy, PolicyArn=arn)
        self.iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        self.iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        roles = self.iam.list_entities_for_policy(PolicyArn=arn)["PolicyRoles"]
        self.assertEqual([role["RoleName"] for role in roles], [name])
        self.refused("DeleteConflictException", self.iam.delete_policy, PolicyArn=arn)
        self.iam.detach_role_policy(RoleName=name, PolicyArn=arn)
        mine = self.iam.list_policies(Scope="Local")["Policies"]
        self.assertIn(arn, [policy["Arn"] for policy in mine])
        self.iam.delete_policy(PolicyArn=arn)
        for call in [self.iam.get_policy, self.iam.delete_policy, self.iam.list_policy_versions]:
            self.refused("NoSuchEntityException", call, PolicyArn=arn)

    def test_the_caller_is_the_accounts_owner(self):
        caller = self.account.client("sts").get_caller_identity()
        self.assertEqual(caller["Account"], "123456789012")
        self.assertTrue(caller["UserId"])
        owner = self.iam.get_user()["User"]
        self.assertEqual(owner["Arn"], caller["Arn"])
        self.assertEqual(self.iam.get_user(UserName=owner["UserName"])["User"], owner)
        self.refused("NoSuchEntityException", self.iam.get_user, UserName="none")

    def test_a_role_is_taken_and_acts_with_its_session(self):
        name, sts = self.role_name(), self.account.client("sts")
        trust = json.loads(TRUST)
        trust["Statement"][0]["Principal"] = {"AWS": "arn:aws:iam::123456789012:root"}
        role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
        taken = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="run", DurationSeconds=900)
        arn = f"arn:aws:sts::123456789012:assumed-role/{name}/run"
        self.assertEqual(taken["AssumedRoleUser"], {"AssumedRoleId": f"{role['RoleId']}:run", "Arn": arn})
        keys = taken["Credentials"]
        self.assertTrue(keys["AccessKeyId"].startswith("ASIA"))
        session = {"aws_access_key_id": keys["AccessKeyId"], "aws_secret_access_key": keys["SecretAccessKey"]}
        with_token = self.account.client("sts", **session, aws_session_token=keys["SessionToken"])
        self.assertEqual(with_token.get_caller_identity()["Arn"], arn)
        iot = self.account.client("iot", **session, aws_session_token=keys["SessionToken"])
        iot.create_thing(thingName=name)
        self.assertIn(name, [thing["thingName"] for thing in self.iot.list_things()["things"]])
        for service, code in [("sts", "InvalidClientTokenId"), ("iot", "UnrecognizedClientException")]:
            client = self.account.client(service, **session)
            with self.assertRaises(client.exceptions.ClientError) as caught:
                client.get_caller_identity() if service == "sts" else client.list_things()
            self.assertEqual(caught.exception.response["Error"]["Code"], code)
        self.iam.update_assume_role_policy(RoleName=name, PolicyDocument=TRUST)
        for arguments in [{"RoleArn": role["Arn"]}, {"RoleArn": role["Arn"] + "-none"}]:
            with self.assertRaises(sts.exceptions.ClientError) as caught:
                sts.assume_role(**arguments, RoleSessionName="run")
            error = caught.exception.response["Error"]
            self.assertEqual(error["Code"], "AccessDenied")
            self.assertIn("is not authorized to perform: sts:AssumeRole on resource: " + arguments["RoleArn"], error["Message"])
        self.refused("MalformedPolicyDocumentException", sts.assume_role, RoleArn=role["Arn"], RoleSessionName="run", Policy="{")

    def role_name(self):
        """A role's name has at most 64 characters."""
        return self.name()[:60]
