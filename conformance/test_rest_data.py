"""The data plane by boto3's `iot-data`: publish, retained messages, connections."""

import json

import awscrt.mqtt5

from conformance.aws import AccountTest, document, stored
from conformance.process import BOUND
from conformance.sdk import Mqtt5


class Data(AccountTest):
    needs = [("iotdata", "Publish")]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = cls.account.client("iot-data")

    def test_a_publish_reaches_a_subscriber(self):
        with self.device(self.name()) as device:
            messages = device.subscribe("a/b c/ü")
            self.data.publish(topic="a/b c/ü", qos=1, payload=b"\x00\xff")
            self.assertEqual(messages.get(timeout=BOUND), ("a/b c/ü", b"\x00\xff"))

    def test_a_payload_of_more_than_128_kb_is_refused(self):
        self.data.publish(topic="large", payload=b"x" * 128 * 1024)
        self.refused("InvalidRequestException", self.data.publish, topic="large", payload=b"x" * 129 * 1024)

    def test_properties_of_a_publish_arrive(self):
        with self.device(self.name()) as device:
            messages = device.subscribe("properties")
            # boto3 takes user properties as an object, and writes the JSON and its base64 itself.
            self.data.publish(topic="properties", qos=1, payload=b"x", contentType="text/plain", responseTopic="answers",
                              userProperties=[{"key": "value"}, {"key": "again"}], messageExpiry=60,
                              payloadFormatIndicator="UTF8_DATA", correlationData="YWJj")
            self.assertEqual(messages.get(timeout=BOUND)[1], b"x")
        heard = device.packet
        self.assertEqual((heard.content_type, heard.response_topic, heard.correlation_data),
                         ("text/plain", "answers", "abc"))
        self.assertEqual([(each.name, each.value) for each in heard.user_properties], [("key", "value"), ("key", "again")])
        self.assertEqual(heard.payload_format_indicator, awscrt.mqtt5.PayloadFormatIndicator.AWS_MQTT5_PFI_UTF8)
        self.assertLessEqual(heard.message_expiry_interval_sec, 60)
        for wrong in [{"userProperties": "no list"}, {"userProperties": [{"key": 1}]}, {"correlationData": "no base64"}]:
            with self.subTest(wrong):
                self.refused("InvalidRequestException", self.data.publish, topic="properties", payload=b"x", **wrong)

    def test_topics_that_may_not_be_published_are_refused(self):
        for topic in ["a/+", "#", "x" * 257, "a/" * 8 + "b"]:
            with self.subTest(topic):
                self.refused("InvalidRequestException", self.data.publish, topic=topic, payload=b"x")

    def test_retained_messages_are_kept_read_listed_and_cleared(self):
        topics = [f"kept/{number}" for number in range(5)]
        for topic in topics:
            self.data.publish(topic=topic, qos=1, retain=True, payload=topic.encode())
        read = self.data.get_retained_message(topic="kept/3")
        self.assertEqual((read["topic"], read["payload"], read["qos"]), ("kept/3", b"kept/3", 1))
        self.assertGreater(read["lastModifiedTime"], 1_600_000_000_000)
        pages, kept = self.pages(self.data, "list_retained_messages", "retainedTopics", 2)
        self.assertEqual((pages, sorted(item["topic"] for item in kept)), (3, topics))
        self.assertEqual({item["payloadSize"] for item in kept}, {6})
        for topic in topics:
            self.data.publish(topic=topic, retain=True, payload=b"")
        self.refused("ResourceNotFoundException", self.data.get_retained_message, topic="kept/3")
        self.assertEqual(self.data.list_retained_messages()["retainedTopics"], [])

    def test_a_connection_is_described_and_cut(self):
        name = self.name()
        with self.device(name) as device, self.device(name + "_watcher") as watcher:
            cut = watcher.subscribe(f"$aws/events/presence/disconnected/{name}")
            device.subscribe("one")
            device.subscribe("two/#")
            device.subscribe("three")
            read = self.data.get_connection(clientId=name, includeSocketInformation=True)
            self.assertEqual((read["connected"], read["cleanSession"], read["sourceIp"]), (True, True, "127.0.0.1"))
            found = self.data.list_subscriptions(clientId=name)["subscriptions"]
            self.assertEqual({item["topicFilter"]: item["qos"] for item in found}, {"one": 1, "two/#": 1, "three": 1})
            pages = self.pages_by_hand(self.data.list_subscriptions, "subscriptions", clientId=name, maxResults=2)
            self.assertEqual(pages, (2, found))
            self.data.delete_connection(clientId=name)
            event = json.loads(cut.get(timeout=BOUND)[1])
            self.assertEqual((event["clientId"], event["disconnectReason"]), (name, "API_INITIATED_DISCONNECT"))
        self.refused("ResourceNotFoundException", self.data.delete_connection, clientId="nobody")
        self.refused("ResourceNotFoundException", self.data.get_connection, clientId="nobody")
        self.refused("ResourceNotFoundException", self.data.list_subscriptions, clientId="nobody")

    def device(self, name):
        """A client that may do everything."""
        self.iot.create_policy(policyName=name, policyDocument=document("iot:*"))
        made = self.certificate()
        self.iot.attach_policy(policyName=name, target=made["certificateArn"])
        return Mqtt5(self.account.core, stored(
            self.account.core.directory, name, made["certificatePem"], made["keyPair"]["PrivateKey"]))
