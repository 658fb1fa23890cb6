"""Policies by boto3: documents, versions, attachments, what a principal may do."""

import json

from conformance.aws import AccountTest, document

ARN = "arn:aws:iot:us-east-1:123456789012:"


class Policies(AccountTest):
    def test_a_policy_is_made_read_and_deleted(self):
        name, text = self.name(), document()
        made = self.iot.create_policy(policyName=name, policyDocument=text, tags=[{"Key": "k", "Value": "v"}])
        self.assertEqual((made["policyName"], made["policyArn"], made["policyVersionId"]),
                         (name, f"{ARN}policy/{name}", "1"))
        self.assertEqual(made["policyDocument"], text)
        read = self.iot.get_policy(policyName=name)
        self.assertEqual((read["policyDocument"], read["defaultVersionId"]), (text, "1"))
        self.assertLessEqual(read["creationDate"], read["lastModifiedDate"])
        self.iot.delete_policy(policyName=name)
        self.refused("ResourceNotFoundException", self.iot.get_policy, policyName=name)
        self.refused("ResourceNotFoundException", self.iot.delete_policy, policyName=name)

    def test_a_name_that_is_taken_is_refused(self):
        name = self.policy(self.name())
        self.refused("ResourceAlreadyExistsException", self.iot.create_policy,
                     policyName=name, policyDocument=document())

    def test_a_document_that_is_none_is_refused(self):
        for text in ["", "{", "[]", json.dumps({"Version": "2012-10-17"}),
                     document(effect="Perhaps"),
                     document(resource="x" * 2100)]:
            with self.subTest(text[:30]):
                self.refused("MalformedPolicyException", self.iot.create_policy,
                             policyName=self.name(), policyDocument=text)

    def test_a_name_with_a_blank_is_refused(self):
        error = self.refused("InvalidRequestException", self.iot.create_policy,
                             policyName="a b", policyDocument=document())
        self.assertIn("policyName", error["Error"]["Message"])

    def test_versions_are_made_chosen_and_deleted_up_to_five(self):
        name = self.policy(self.name())
        second = self.iot.create_policy_version(policyName=name, policyDocument=document("iot:Connect"), setAsDefault=True)
        self.assertEqual((second["policyVersionId"], second["isDefaultVersion"]), ("2", True))
        self.assertEqual(self.iot.get_policy(policyName=name)["policyDocument"], document("iot:Connect"))
        third = self.iot.create_policy_version(policyName=name, policyDocument=document("iot:Receive"))
        self.assertFalse(third["isDefaultVersion"])
        version = self.iot.get_policy_version(policyName=name, policyVersionId="3")
        self.assertEqual((version["policyName"], version["isDefaultVersion"]), (name, False))
        self.iot.set_default_policy_version(policyName=name, policyVersionId="3")
        versions = self.iot.list_policy_versions(policyName=name)["policyVersions"]
        self.assertEqual({version["versionId"]: version["isDefaultVersion"] for version in versions},
                         {"1": False, "2": False, "3": True})
        for _ in range(2):
            self.iot.create_policy_version(policyName=name, policyDocument=document())
        self.refused("VersionsLimitExceededException", self.iot.create_policy_version,
                     policyName=name, policyDocument=document())
        self.iot.delete_policy_version(policyName=name, policyVersionId="1")
        self.assertEqual(self.iot.create_policy_version(policyName=name, policyDocument=document())["policyVersionId"], "6")

    def test_the_default_version_stays_and_a_policy_with_versions_stays(self):
        name = self.policy(self.name())
        self.iot.create_policy_version(policyName=name, policyDocument=document("iot:Connect"))
        self.refused("DeleteConflictException", self.iot.delete_policy, policyName=name)
        with self.assertRaises((self.iot.exceptions.DeleteConflictException,
                                self.iot.exceptions.InvalidRequestException)):
            self.iot.delete_policy_version(policyName=name, policyVersionId="1")
        self.iot.delete_policy_version(policyName=name, policyVersionId="2")
        self.iot.delete_policy(policyName=name)

    def test_versions_of_nothing_are_not_found(self):
        name = self.policy(self.name())
        for call, arguments in [
            (self.iot.get_policy_version, {"policyVersionId": "9"}),
            (self.iot.set_default_policy_version, {"policyVersionId": "9"}),
            (self.iot.delete_policy_version, {"policyVersionId": "9"}),
        ]:
            self.refused("ResourceNotFoundException", call, policyName=name, **arguments)
            self.refused("ResourceNotFoundException", call, policyName="none", **{**arguments, "policyVersionId": "1"})
        self.refused("ResourceNotFoundException", self.iot.list_policy_versions, policyName="none")
        self.refused("ResourceNotFoundException", self.iot.create_policy_version,
                     policyName="none", policyDocument=document())
        self.refused("MalformedPolicyException", self.iot.create_policy_version, policyName=name, policyDocument="{}")

    def test_a_policy_is_attached_to_a_certificate_and_found_both_ways(self):
        name, target = self.policy(self.name()), self.certificate()["certificateArn"]
        for _ in range(2):  # A second time changes nothing.
            self.iot.attach_policy(policyName=name, target=target)
        attached = self.iot.list_attached_policies(target=target)["policies"]
        self.assertEqual(attached, [{"policyName": name, "policyArn": f"{ARN}policy/{name}"}])
        self.assertEqual(self.iot.list_targets_for_policy(policyName=name)["targets"], [target])
        self.refused("DeleteConflictException", self.iot.delete_policy, policyName=name)
        for _ in range(2):
            self.iot.detach_policy(policyName=name, target=target)
        self.assertEqual(self.iot.list_attached_policies(target=target)["policies"], [])
        self.iot.delete_policy(policyName=name)

    def test_the_older_operations_on_principals_do_the_same(self):
        name, principal = self.policy(self.name()), self.certificate()["certificateArn"]
        self.iot.attach_principal_policy(policyName=name, principal=principal)
        policies = self.iot.list_principal_policies(principal=principal)["policies"]
        self.assertEqual([policy["policyName"] for policy in policies], [name])
        self.assertEqual(self.iot.list_policy_principals(policyName=name)["principals"], [principal])
        self.iot.detach_principal_policy(policyName=name, principal=principal)
        self.assertEqual(self.iot.list_principal_policies(principal=principal)["policies"], [])
        self.refused("ResourceNotFoundException", self.iot.attach_principal_policy, policyName="none", principal=principal)

    def test_what_does_not_exist_cannot_be_attached(self):
        target = self.certificate()["certificateArn"]
        self.refused("ResourceNotFoundException", self.iot.attach_policy, policyName="none", target=target)
        gone = target[:-4] + ("0000" if not target.endswith("0000") else "1111")
        name = self.policy(self.name())
        self.refused("ResourceNotFoundException", self.iot.attach_policy, policyName=name, target=gone)
        self.refused("ResourceNotFoundException", self.iot.list_attached_policies, target=gone)
        self.refused("ResourceNotFoundException", self.iot.list_targets_for_policy, policyName="none")

    def test_what_does_not_exist_is_detached_or_an_invalid_target(self):
        name, target = self.policy(self.name()), self.certificate()["certificateArn"]
        self.iot.detach_policy(policyName="none", target=target)
        gone = target[:-4] + ("0000" if not target.endswith("0000") else "1111")
        error = self.refused("InvalidRequestException", self.iot.detach_policy, policyName=name, target=gone)
        self.assertIn("Invalid Target", error["Error"]["Message"])
        self.refused("ResourceNotFoundException", self.iot.detach_principal_policy, policyName=name, principal=gone)
        self.refused("InvalidRequestException", self.iot.attach_policy, policyName=name, target="no arn")

    def test_a_certificate_has_ten_policies_and_a_group_two(self):
        target = self.certificate()["certificateArn"]
        names = [self.policy(self.name(f"_{number}")) for number in range(11)]
        for name in names[:10]:
            self.iot.attach_policy(policyName=name, target=target)
        self.refused("LimitExceededException", self.iot.attach_policy, policyName=names[10], target=target)
        self.refused("LimitExceededException", self.iot.attach_principal_policy, policyName=names[10], principal=target)
        group = self.iot.create_thing_group(thingGroupName=self.name())["thingGroupArn"]
        for name in names[:2]:
            self.iot.attach_policy(policyName=name, target=group)
        self.refused("LimitExceededException", self.iot.attach_policy, policyName=names[2], target=group)

    def test_lists_are_paged(self):
        names = [self.policy(self.name(f"_{number}")) for number in range(5)]
        target = self.certificate()["certificateArn"]
        others = [self.certificate()["certificateArn"] for _ in range(2)]
        for name in names:
            self.iot.attach_policy(policyName=name, target=target)
        for other in others:
            self.iot.attach_policy(policyName=names[0], target=other)
        pages, policies = self.pages(self.iot, "list_policies", "policies", 2)
        found = [policy["policyName"] for policy in policies if policy["policyName"] in names]
        self.assertEqual(sorted(found), names)
        self.assertGreaterEqual(pages, 3)
        _, reversed_ = self.pages(self.iot, "list_policies", "policies", 2, ascendingOrder=True)
        self.assertEqual(reversed_, policies[::-1])
        for operation, result, arguments, count in [
            ("list_attached_policies", "policies", {"target": target}, 5),
            ("list_principal_policies", "policies", {"principal": target}, 5),
            ("list_targets_for_policy", "targets", {"policyName": names[0]}, 3),
            ("list_policy_principals", "principals", {"policyName": names[0]}, 3),
        ]:
            with self.subTest(operation):
                pages, items = self.pages(self.iot, operation, result, 2, **arguments)
                self.assertEqual((pages, len(items)), ((count + 1) // 2, count))
                self.assertEqual(len({str(item) for item in items}), count)

    def test_a_marker_that_is_none_of_ours_is_refused(self):
        self.refused("InvalidRequestException", self.iot.list_policies, marker="bm9uZQ==")
        self.refused("InvalidRequestException", self.iot.list_policies, pageSize=251)

    def test_effective_policies_are_those_of_certificate_thing_group_and_its_parents(self):
        arn, thing = self.certificate()["certificateArn"], self.name()
        self.iot.create_thing(thingName=thing)
        self.iot.attach_thing_principal(thingName=thing, principal=arn)
        self.iot.create_thing_group(thingGroupName=thing + "_up")
        self.iot.create_thing_group(thingGroupName=thing, parentGroupName=thing + "_up")
        self.iot.add_thing_to_thing_group(thingName=thing, thingGroupName=thing)
        targets = {"own": arn, "group": f"{ARN}thinggroup/{thing}", "parent": f"{ARN}thinggroup/{thing}_up"}
        for suffix, target in targets.items():
            self.iot.attach_policy(policyName=self.policy(f"{thing}_{suffix}"), target=target)
        names = lambda **by: {  # noqa: E731
            policy["policyName"].removeprefix(thing + "_")
            for policy in self.iot.get_effective_policies(**by)["effectivePolicies"]}
        self.assertEqual(names(principal=arn), {"own"})
        self.assertEqual(names(principal=arn, thingName=thing), {"own", "group", "parent"})
        recursive = self.iot.list_attached_policies(target=targets["group"], recursive=True)["policies"]
        self.assertEqual({policy["policyName"] for policy in recursive}, {f"{thing}_group", f"{thing}_parent"})
        self.refused("ResourceNotFoundException", self.iot.get_effective_policies, principal=arn, thingName="none")

    def test_authorization_is_judged_with_its_reasons(self):
        arn, name = self.certificate()["certificateArn"], self.name()
        self.policy(f"{name}_allow", "iot:Publish", f"{ARN}topic/allowed/*")
        self.iot.create_policy(policyName=f"{name}_deny", policyDocument=document(
            "iot:Publish", f"{ARN}topic/allowed/not", effect="Deny"))
        for suffix in ["allow", "deny"]:
            self.iot.attach_policy(policyName=f"{name}_{suffix}", target=arn)
        asked = [{"actionType": "PUBLISH", "resources": [f"{ARN}topic/{topic}"]}
                 for topic in ["allowed/x", "allowed/not", "other"]]
        answer = self.iot.test_authorization(principal=arn, authInfos=asked, clientId="c")["authResults"]
        self.assertEqual([result["authDecision"] for result in answer],
                         ["ALLOWED", "EXPLICIT_DENY", "IMPLICIT_DENY"])
        self.assertEqual([policy["policyName"] for policy in answer[0]["allowed"]["policies"]], [f"{name}_allow"])
        denied = answer[1]["denied"]["explicitDeny"]["policies"]
        self.assertEqual([policy["policyName"] for policy in denied], [f"{name}_deny"])
        skipped = self.iot.test_authorization(
            principal=arn, authInfos=asked[1:2], policyNamesToSkip=[f"{name}_deny"])["authResults"]
        self.assertEqual(skipped[0]["authDecision"], "ALLOWED")
        self.policy(f"{name}_more", "iot:Publish", f"{ARN}topic/other")
        added = self.iot.test_authorization(
            principal=arn, authInfos=asked[2:], policyNamesToAdd=[f"{name}_more"])["authResults"]
        self.assertEqual(added[0]["authDecision"], "ALLOWED")
        self.refused("ResourceNotFoundException", self.iot.test_authorization,
                     principal=arn, authInfos=asked, policyNamesToAdd=["none"])
        self.refused("InvalidRequestException", self.iot.test_authorization, principal=arn, authInfos=asked * 4)
        self.refused("InvalidRequestException", self.iot.test_authorization, principal=arn,
                     authInfos=[{"actionType": "PUBLISH", "resources": []}])
