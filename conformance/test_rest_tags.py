"""Tags, event configurations, and what is not there, by boto3."""

from botocore.exceptions import ClientError

from conformance.aws import AccountTest, document


class Tags(AccountTest):
    def test_tags_are_set_changed_listed_and_removed(self):
        name, tags = self.name(), [{"Key": f"k{number}", "Value": str(number)} for number in range(3)]
        arns = [
            self.iot.create_policy(policyName=name, policyDocument=document(), tags=tags)["policyArn"],
            self.iot.create_thing_type(thingTypeName=name, tags=tags)["thingTypeArn"],
            self.iot.create_thing_group(thingGroupName=name, tags=tags)["thingGroupArn"],
        ]
        for arn in arns:
            with self.subTest(arn):
                self.assertEqual(self.tags(arn), {"k0": "0", "k1": "1", "k2": "2"})
                self.iot.tag_resource(resourceArn=arn, tags=[{"Key": "k0", "Value": "new"}, {"Key": "more", "Value": ""}])
                self.iot.untag_resource(resourceArn=arn, tagKeys=["k1", "none"])
                self.assertEqual(self.tags(arn), {"k0": "new", "k2": "2", "more": ""})

    def test_more_than_a_page_of_tags_is_listed_page_by_page(self):
        tags = [{"Key": f"k{number:02}", "Value": "v"} for number in range(40)]
        arn = self.iot.create_policy(policyName=self.name(), policyDocument=document(), tags=tags)["policyArn"]
        self.assertEqual(self.pages_by_hand(self.iot.list_tags_for_resource, "tags", resourceArn=arn), (2, tags))

    def test_what_does_not_exist_has_no_tags(self):
        tag = [{"Key": "a", "Value": "b"}]
        for kind in ["policy", "rule"]:
            gone = f"arn:aws:iot:us-east-1:123456789012:{kind}/none"
            self.refused("ResourceNotFoundException", self.iot.list_tags_for_resource, resourceArn=gone)
            self.refused("ResourceNotFoundException", self.iot.tag_resource, resourceArn=gone, tags=tag)
            self.refused("ResourceNotFoundException", self.iot.untag_resource, resourceArn=gone, tagKeys=["a"])
        self.refused("InvalidRequestException", self.iot.tag_resource, resourceArn="no arn", tags=tag)

    def test_keys_of_aws_are_refused_and_fifty_is_the_most(self):
        arn = self.iot.create_thing_group(thingGroupName=self.name())["thingGroupArn"]
        self.refused("InvalidRequestException", self.iot.tag_resource, resourceArn=arn, tags=[{"Key": "aws:a", "Value": "b"}])
        self.iot.tag_resource(resourceArn=arn, tags=[{"Key": str(number), "Value": "x"} for number in range(50)])
        self.refused("LimitExceededException", self.iot.tag_resource, resourceArn=arn, tags=[{"Key": "one too many", "Value": "x"}])

    def test_more_than_fifty_tags_of_something_new_are_refused_by_what_its_operation_has(self):
        name, tags = self.name(), [{"Key": str(number), "Value": "x"} for number in range(51)]
        for call, arguments in [
            (self.iot.create_policy, {"policyName": name, "policyDocument": document()}),
            (self.iot.create_thing_group, {"thingGroupName": name}),
            (self.iot.create_thing_type, {"thingTypeName": name}),
        ]:
            self.refused("InvalidRequestException", call, **arguments, tags=tags)
        rule = {"sql": "SELECT * FROM 'a'", "actions": []}
        self.refused("InvalidRequestException", self.iot.create_topic_rule, ruleName=name, topicRulePayload=rule,
                     tags="&".join(f"{tag['Key']}={tag['Value']}" for tag in tags))

    def tags(self, arn):
        paginator = self.iot.get_paginator("list_tags_for_resource")
        return {tag["Key"]: tag["Value"] for page in paginator.paginate(resourceArn=arn) for tag in page["tags"]}


class Events(AccountTest):
    def test_events_are_off_until_they_are_turned_on(self):
        before = self.iot.describe_event_configurations()["eventConfigurations"]
        self.assertTrue(before and not any(kind["Enabled"] for kind in before.values()), before)
        self.iot.update_event_configurations(eventConfigurations={"THING": {"Enabled": True}})
        after = self.iot.describe_event_configurations()
        self.assertEqual([kind for kind, setting in after["eventConfigurations"].items() if setting["Enabled"]], ["THING"])
        self.assertLessEqual(after["creationDate"], after["lastModifiedDate"])

    def test_an_event_that_there_is_not_is_refused(self):
        self.refused("InvalidRequestException", self.iot.update_event_configurations,
                     eventConfigurations={"NONE": {"Enabled": True}})


class Missing(AccountTest):
    def test_an_operation_that_is_not_there_says_so_and_is_counted(self):
        with self.assertRaises(ClientError) as caught:
            self.iot.create_certificate_provider(
                certificateProviderName="p", lambdaFunctionArn="arn:aws:lambda:us-east-1:123456789012:function:f",
                accountDefaultForOperations=["CreateCertificateFromCsr"])
        error = caught.exception.response
        self.assertEqual((error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]), (501, "NotImplementedException"))
        self.assertIn("CreateCertificateProvider", error["Error"]["Message"])
        self.assertIn("CreateCertificateProvider", self.account.coverage()["iot"]["notImplemented"])
