"""TestAuthorization agrees with what the live broker does, on a thousand random requests.

Policies, client ids, topics and filters are drawn from a small vocabulary, so that they meet. Each request is asked of
TestAuthorization by boto3 and then tried with paho over mutual TLS. The seed is printed; FLEETKEY_SEED chooses it.
"""

import json
import os
import queue
import random
import time
import unittest

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from conformance.aws import Account, document, stored
from conformance.process import BOUND
from conformance.test_rest_certificates import request_with_key

REQUESTS = int(os.environ.get("FLEETKEY_AUTHORIZATIONS", "1000"))
ARN = "arn:aws:iot:us-east-1:123456789012:"
WORDS = ["a", "b", "ab", "meter-1", "meter-2", "x~y"]
RESOURCES = ["*", "a", "a/*", "a/?", "*/b", "${iot:ClientId}", "${iot:ClientId}/*", "${iot:Connection.Thing.ThingName}/*",
             "meter-?/*", "a/+", "*/#", "${iot:Connection.Thing.Attributes[site]}/*", "ab*"]
ATTACHED = {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}
# Every client may hear this topic, so that what did not come before it will not come.
MARK = "zz/mark"
REFUSED = 0x87


class Authorization(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.account = Account()
        cls.addClassCleanup(cls.account.stop)
        cls.iot = cls.account.client("iot")
        cls.csr, cls.key = request_with_key()
        for thing in ["meter-1", "meter-2"]:
            cls.iot.create_thing(thingName=thing, attributePayload={"attributes": {"site": "ab"}})

    def test_a_thousand_random_requests_are_judged_as_they_are_treated(self):
        seed = int(os.environ.get("FLEETKEY_SEED", time.time_ns() % 1_000_000))
        print(f"seed {seed}: FLEETKEY_SEED={seed} runs it again")
        self.random, self.asked, self.decisions = random.Random(seed), 0, {}
        operator = self.certificate("operator", [document("iot:*")])
        with Client(self.account.core, operator) as publisher:
            self.publisher, number = publisher, 0
            while self.asked < REQUESTS or (self.missing() and self.asked < 3 * REQUESTS):
                number += 1
                self.one_certificate(number)
        print(f"{self.asked} requests with {number} certificates, by action and decision: {self.decisions}")
        # Were all allowed or all refused, nothing would be compared.
        self.assertEqual(self.missing(), set())

    def missing(self):
        """Actions with a decision that has not occurred yet."""
        return {(action, decision) for action in ["CONNECT", "PUBLISH", "SUBSCRIBE", "RECEIVE"]
                for decision in ["ALLOWED", "EXPLICIT_DENY", "IMPLICIT_DENY"]} - set(self.decisions)

    # --- one certificate ---

    def one_certificate(self, number):
        client_id = self.random.choice([*WORDS, "meter-1", "meter-2"])
        texts = [self.policy() for _ in range(self.random.choice([1, 1, 2, 3]))]
        identity = self.certificate(f"c{number}", texts).named(client_id)
        for thing in ["meter-1", "meter-2"]:
            if self.random.random() < 0.3:
                self.iot.attach_thing_principal(thingName=thing, principal=self.arn)
        case = f"client {client_id} of {self.arn} with {texts}"
        may_connect = self.judged("CONNECT", [f"client/{client_id}"], client_id)[0]
        client = Client(self.account.core, identity)
        self.agree(case, "CONNECT", client_id, may_connect, client.connected)
        with client:
            if client.connected:
                self.topics(case, client, client_id)

    def topics(self, case, client, client_id):
        topics = [self.topic() for _ in range(6)]
        filters = [self.filter() for _ in range(6)]
        for topic, judged in zip(topics, self.judged("PUBLISH", [f"topic/{topic}" for topic in topics], client_id)):
            self.agree(case, "PUBLISH", topic, judged, client.publish(topic) != REFUSED)
        judgements = self.judged("SUBSCRIBE", [f"topicfilter/{filter_}" for filter_ in filters], client_id)
        for filter_, judged in zip(filters, judgements):
            self.agree(case, "SUBSCRIBE", filter_, judged, client.subscribe(filter_) != REFUSED)
        # What is heard depends on what was subscribed to; the rest is asked where that was allowed.
        topics = [topic for topic in dict.fromkeys(topics) if client.subscribe(topic) != REFUSED]
        self.assertNotEqual(client.subscribe(MARK), REFUSED, case)
        if not topics:
            return
        for topic in [*topics, MARK]:
            self.assertNotEqual(self.publisher.publish(topic), REFUSED)
        heard = client.heard_before(MARK)
        for topic, judged in zip(topics, self.judged("RECEIVE", [f"topic/{topic}" for topic in topics], client_id)):
            self.agree(case, "RECEIVE", topic, judged, topic in heard)

    def judged(self, action, resources, client_id):
        """TestAuthorization's decisions."""
        infos = [{"actionType": action, "resources": [ARN + resource]} for resource in resources]
        answer = self.iot.test_authorization(principal=self.arn, clientId=client_id, authInfos=infos)
        return [result["authDecision"] for result in answer["authResults"]]

    def agree(self, case, action, what, judged, done):
        self.assertEqual(judged == "ALLOWED", done, f"{action} {what} is {judged}, and the broker {'did' if done else 'refused'} it: {case}")
        self.asked += 1
        self.decisions[action, judged] = self.decisions.get((action, judged), 0) + 1

    # --- the draw ---

    def certificate(self, name, texts):
        # One key for all: every certificate of the same CSR is another principal, and costs no key.
        made = self.iot.create_certificate_from_csr(certificateSigningRequest=self.csr, setAsActive=True)
        self.arn = made["certificateArn"]
        for number, text in enumerate(texts):
            self.iot.create_policy(policyName=f"{name}-{number}", policyDocument=text)
            self.iot.attach_policy(policyName=f"{name}-{number}", target=self.arn)
        return stored(self.account.core.directory, name, made["certificatePem"], self.key)

    def policy(self):
        """A random document which lets the mark through."""
        kinds = {"iot:Connect": "client", "iot:Publish": "topic", "iot:Receive": "topic", "iot:Subscribe": "topicfilter"}
        statements = [allow(["iot:Subscribe", "iot:Receive"], [f"{ARN}topicfilter/{MARK}", f"{ARN}topic/{MARK}"])]
        # Some is allowed broadly, or denials would have nothing to take away.
        for action, kind in kinds.items():
            if self.random.random() < (0.6 if action == "iot:Connect" else 0.3):
                statements.append(allow(action, f"{ARN}{kind}/*"))
        for _ in range(self.random.randint(2, 5)):
            action = self.random.choice(list(kinds))
            deny = self.random.random() < 0.5
            # A denial of everything would take the mark along.
            resource = self.random.choice([each for each in RESOURCES if not (deny and each in ("*", "*/#"))])
            statement = allow(action, f"{ARN}{kinds[action]}/{resource}")
            if deny:
                statement["Effect"] = "Deny"
            if self.random.random() < 0.2:
                statement["Condition"] = ATTACHED
            statements.append(statement)
        return json.dumps({"Version": "2012-10-17", "Statement": statements})

    def topic(self):
        return "/".join(self.random.choice(WORDS) for _ in range(self.random.randint(1, 3)))

    def filter(self):
        parts = [self.random.choice([*WORDS, "+"]) for _ in range(self.random.randint(1, 3))]
        return "/".join([*parts, "#"] if self.random.random() < 0.3 else parts)


class Client:
    """paho, MQTT 5, used one step after the other."""

    def __init__(self, core, identity):
        self._events = queue.Queue()
        self._heard = queue.Queue()
        self._client = client = paho.Client(CallbackAPIVersion.VERSION2, identity.client_id, protocol=paho.MQTTv5)
        client.tls_set(str(core.root_ca), str(identity.certificate), str(identity.key))
        client.on_connect = lambda _c, _u, _f, reason, _p: self._events.put(("connect", reason.value))
        client.on_subscribe = lambda _c, _u, mid, reasons, _p: self._events.put((mid, reasons[0].value))
        client.on_publish = lambda _c, _u, mid, reason, _p: self._events.put((mid, reason.value))
        client.on_message = lambda _c, _u, message: self._heard.put(message.topic)
        client.reconnect_delay_set(BOUND * 10)  # Never: a refusal stays one.
        client.connect(core.endpoint, core.mqtt_port)
        client.loop_start()
        self.connected = self._answer("connect") == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic):
        return self._answer(self._client.publish(topic, b"x", qos=1).mid)

    def subscribe(self, filter_):
        return self._answer(self._client.subscribe(filter_, qos=1)[1])

    def heard_before(self, mark):
        """The topics of what came before the first message of `mark`."""
        topics = set()
        while (topic := self._heard.get(timeout=BOUND)) != mark:
            topics.add(topic)
        return topics

    def _answer(self, wanted):
        """The reason code of the acknowledgement."""
        while True:
            mid, reason = self._events.get(timeout=BOUND)
            if mid == wanted:
                return reason


def allow(action, resource):
    return {"Effect": "Allow", "Action": action, "Resource": resource}
