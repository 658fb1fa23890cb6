"""Topic rules by boto3, and what they do with messages."""

import json

from conformance.aws import AccountTest, document, stored
from conformance.process import BOUND
from conformance.sdk import Mqtt5

TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Principal": {"Service": "iot.amazonaws.com"}, "Action": "sts:AssumeRole"}]})


class Rules(AccountTest):
    needs = [("iam", "CreateRole"), ("iot", "CreateTopicRule")]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        iam = cls.account.client("iam")
        cls.role = iam.create_role(RoleName="rules", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        iam.put_role_policy(RoleName="rules", PolicyName="publish", PolicyDocument=document())

    def test_a_rule_is_made_read_replaced_switched_and_deleted(self):
        name = self.name()
        self.iot.create_topic_rule(ruleName=name, topicRulePayload=self.payload("SELECT * FROM 'in/+'", description="d"))
        read = self.iot.get_topic_rule(ruleName=name)
        self.assertTrue(read["ruleArn"].endswith(f":rule/{name}"))
        rule = read["rule"]
        self.assertEqual((rule["ruleName"], rule["sql"], rule["description"], rule["ruleDisabled"]),
                         (name, "SELECT * FROM 'in/+'", "d", False))
        self.assertEqual(rule["actions"][0]["republish"]["topic"], "out")
        self.refused("ResourceAlreadyExistsException", self.iot.create_topic_rule, ruleName=name,
                     topicRulePayload=self.payload("SELECT * FROM 'in/+'"))
        self.iot.replace_topic_rule(ruleName=name, topicRulePayload=self.payload("SELECT a FROM 'other'"))
        self.assertEqual(self.iot.get_topic_rule(ruleName=name)["rule"]["sql"], "SELECT a FROM 'other'")
        for call, disabled in [(self.iot.disable_topic_rule, True), (self.iot.enable_topic_rule, False)]:
            call(ruleName=name)
            self.assertEqual(self.iot.get_topic_rule(ruleName=name)["rule"]["ruleDisabled"], disabled)
        self.iot.delete_topic_rule(ruleName=name)
        for call in [self.iot.get_topic_rule, self.iot.delete_topic_rule, self.iot.enable_topic_rule, self.iot.disable_topic_rule]:
            self.refused("UnauthorizedException", call, ruleName=name)
        self.refused("UnauthorizedException", self.iot.replace_topic_rule, ruleName=name,
                     topicRulePayload=self.payload("SELECT * FROM 'a'"))

    def test_a_statement_that_cannot_be_parsed_is_refused(self):
        name = self.name()
        for sql in ["SELEC * FROM 'a'", "SELECT FROM", ""]:
            with self.subTest(sql):
                self.refused("SqlParseException", self.iot.create_topic_rule, ruleName=name, topicRulePayload=self.payload(sql))
        self.iot.create_topic_rule(ruleName=name, topicRulePayload=self.payload("SELECT * FROM 'a'"))
        self.refused("SqlParseException", self.iot.replace_topic_rule, ruleName=name, topicRulePayload=self.payload("SELECT FROM"))
        self.refused("InvalidRequestException", self.iot.create_topic_rule, ruleName="a b",
                     topicRulePayload=self.payload("SELECT * FROM 'a'"))

    def test_rules_are_listed_by_topic_and_page(self):
        names = [self.name(f"_{number}") for number in range(5)]
        for name in names:
            self.iot.create_topic_rule(ruleName=name, topicRulePayload=self.payload("SELECT * FROM 'listed/+'"))
        self.iot.disable_topic_rule(ruleName=names[0])
        pages, rules = self.pages(self.iot, "list_topic_rules", "rules", 2, topic="listed/x")
        self.assertEqual((pages, sorted(rule["ruleName"] for rule in rules)), (3, names))
        self.assertEqual({rule["topicPattern"] for rule in rules}, {"listed/+"})
        _, off = self.pages(self.iot, "list_topic_rules", "rules", 2, topic="listed/x", ruleDisabled=True)
        self.assertEqual([rule["ruleName"] for rule in off], names[:1])

    def test_a_rule_republishes_what_it_selects(self):
        name = self.name()
        self.iot.create_topic_rule(ruleName=name, topicRulePayload=self.payload(
            "SELECT value AS v, topic(2) AS who, clientid() AS client, principal() AS certificate "
            "FROM 'meters/+/data' WHERE value > 3", topic="rich/${topic(2)}"))
        self.iot.create_policy(policyName=name, policyDocument=document("iot:*"))
        made = self.certificate()
        self.iot.attach_policy(policyName=name, target=made["certificateArn"])
        identity = stored(self.account.core.directory, name, made["certificatePem"], made["keyPair"]["PrivateKey"])
        with Mqtt5(self.account.core, identity) as device:
            rich = device.subscribe("rich/m1")
            device.publish("meters/m1/data", json.dumps({"value": 1}).encode())
            device.publish("meters/m1/data", json.dumps({"value": 7}).encode())
            answer = json.loads(rich.get(timeout=BOUND)[1])
        self.assertEqual(answer, {"v": 7, "who": "m1", "client": name, "certificate": made["certificateId"]})

    def payload(self, sql, topic="out", **more):
        return {"sql": sql, "awsIotSqlVersion": "2016-03-23",
                "actions": [{"republish": {"roleArn": self.role, "topic": topic, "qos": 1}}], **more}
