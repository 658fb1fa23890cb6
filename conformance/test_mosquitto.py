"""Debian's mosquitto clients with a provisioned device's files: its own topics work, another's are refused.

Silence is shown by order, not by waiting: what must not arrive is followed by a message that must.
"""

import subprocess
import unittest

from conformance import fleet
from conformance.fleet import Core, agent, commands, requests, telemetry
from conformance.mosquitto import Publisher, Subscriber, connected, publish

# Bytes of a payload, at most: "128 KB" in AWS's quotas.
LARGEST = 128 * 1024


class MosquittoTest(unittest.TestCase):
    """One local IoT Core and two devices for all tests of a class; each test uses topics as it finds them."""

    version = "311"

    @classmethod
    def setUpClass(cls):
        cls.core = Core()
        cls.addClassCleanup(cls.core.stop)
        cls.one = cls.core.provision("meter-1")
        cls.other = cls.core.provision("meter-2")

    def subscriber(self, identity, topic, *options, **kwargs):
        subscriber = Subscriber(self.core, identity, topic, *options, **{"version": self.version, **kwargs})
        self.addCleanup(subscriber.stop)
        return subscriber

    def publisher(self, identity, topic, payload, *options, **kwargs):
        publisher = Publisher(self.core, identity, topic, payload, *options,
                              **{"version": self.version, **kwargs})
        self.addCleanup(publisher.stop)
        return publisher

    def publish(self, identity, topic, payload, *options, **kwargs):
        publish(self.core, identity, topic, payload, *options, **{"version": self.version, **kwargs})

    def assertRefused(self, process):
        """The broker closed the connection, or said no, and never CONNACK 0."""
        self.assertNotEqual(process.ends(), 0, process.transcript())
        self.assertFalse(any(map(connected, process.lines())), process.transcript())

    def assertDenied(self, subscriber):
        """The SUBACK refuses; the program then disconnects and ends by itself."""
        subscriber.line(lambda line: "All subscription requests were denied" in line, what="a refusal")
        subscriber.ends()


class OwnTopics(MosquittoTest):
    """What a provisioned device may do."""

    def test_a_message_goes_round_over_its_own_topic(self):
        topic = telemetry(self.one.client_id)
        observer = self.subscriber(self.one, topic).ready()
        self.publish(agent(self.one), topic, "42")
        self.assertEqual(observer.message(), (topic, 1, "42"))

    def test_a_wildcard_below_its_own_topic_is_granted(self):
        below = telemetry(self.one.client_id).replace("telemetry", "#")
        observer = self.subscriber(self.one, below).ready()
        self.publish(agent(self.one), telemetry(self.one.client_id), "below")
        self.assertEqual(observer.message()[2], "below")

    def test_qos_0_is_delivered_too(self):
        topic = telemetry(self.one.client_id)
        observer = self.subscriber(self.one, topic).ready()
        self.publish(agent(self.one), topic, "quick", qos=0)
        self.assertEqual(observer.message(), (topic, 0, "quick"))

    def test_the_largest_payload_that_aws_takes_arrives_whole(self):
        topic = telemetry(self.one.client_id)
        file = self.core.directory / "largest"
        file.write_text("x" * LARGEST)
        observer = self.subscriber(self.one, topic).ready()
        self.publish(agent(self.one), topic, file)
        self.assertEqual(len(observer.message()[2]), LARGEST)

    def test_a_persistent_session_keeps_what_came_while_the_device_was_away(self):
        topic = telemetry(self.other.client_id)
        persistent = ["-c"] if self.version == "311" else ["-c", "-x", "600"]
        first = self.subscriber(self.other, topic, *persistent).ready()
        first.stop()
        self.publish(agent(self.other), topic, "while away")
        again = self.subscriber(self.other, topic, *persistent)
        self.assertEqual(again.message(), (topic, 1, "while away"))

    def test_a_will_is_published_when_the_device_dies(self):
        topic = telemetry(self.other.client_id)
        observer = self.subscriber(agent(self.other), topic).ready()
        will = ["--will-topic", topic, "--will-payload", "gone", "--will-qos", "1"]
        dying = self.subscriber(self.other, commands(self.other.client_id), *will).ready()
        dying.kill()
        self.assertEqual(observer.message()[2], "gone")


class OwnTopicsInMqtt5(OwnTopics):
    """The same in MQTT 5."""

    version = "5"


class OtherTopics(MosquittoTest):
    """What a provisioned device may not do to another, nor with a name that is not its own."""

    def test_a_publish_to_anothers_topic_reaches_nobody(self):
        topic = telemetry(self.other.client_id)
        observer = self.subscriber(self.other, topic).ready()
        intruder = self.publisher(self.one, topic, "forged")
        self.assert_publish_refused(intruder)
        self.publish(agent(self.other), topic, "genuine")
        self.assertEqual(observer.message(), (topic, 1, "genuine"))
        self.assertEqual(observer.messages(), 1)

    def test_a_subscription_to_anothers_topic_is_refused(self):
        self.assert_subscription_refused(telemetry(self.other.client_id))

    def test_a_wildcard_across_things_is_refused(self):
        for topic in ["#", "+/+/telemetry", "device/#", "device/+/telemetry"]:
            self.assert_subscription_refused(topic)

    def test_a_device_cannot_command_itself(self):
        topic = commands(self.one.client_id)
        observer = self.subscriber(agent(self.one), topic).ready()
        self.assert_publish_refused(self.publisher(self.one, topic, "rotate"))
        self.assertEqual(observer.messages(), 0)

    def test_a_device_cannot_read_what_it_asks_of_the_controller(self):
        self.assert_subscription_refused(requests(self.one.client_id))

    def test_the_client_id_of_another_thing_is_refused(self):
        stolen = self.one.named(self.other.client_id)
        self.assertRefused(self.publisher(stolen, telemetry(self.other.client_id), "x"))

    def assert_publish_refused(self, publisher):
        """Closed or answered with a reason, never acknowledged as a success."""
        if self.version == "5":
            publisher.line(lambda line: "ot authorized" in line, what="reason 0x87")
        else:
            self.assertNotEqual(publisher.ends(), 0, publisher.transcript())
            self.assertFalse(any("received PUBACK" in line for line in publisher.lines()), publisher.transcript())

    def assert_subscription_refused(self, topic):
        self.assertDenied(self.subscriber(self.one, topic))


class OtherTopicsInMqtt5(OtherTopics):
    """The same in MQTT 5."""

    version = "5"


class Strangers(MosquittoTest):
    """Certificates that the registry does not know, or that do not belong here."""

    def test_a_self_signed_certificate_is_refused(self):
        stranger = self.self_signed("meter-1")
        self.assertRefused(self.publisher(stranger, telemetry("meter-1"), "x"))

    def test_a_device_does_not_talk_to_a_server_of_another_root(self):
        stranger = self.self_signed("localhost")
        publisher = self.publisher(self.one, telemetry(self.one.client_id), "x", ca=stranger.certificate)
        self.assertRefused(publisher)

    def test_somebody_elses_key_does_not_open_a_certificate(self):
        mixed = self.one._replace(key=self.other.key)
        self.assertRefused(self.publisher(mixed, telemetry(self.one.client_id), "x"))

    def test_a_claim_reaches_nothing_but_provisioning(self):
        claim = self.core.claim("mosquitto")
        for topic in [telemetry(self.one.client_id), "#", "fleetkey/things/+/requests"]:
            self.assertDenied(self.subscriber(claim, topic))

    def test_a_claim_cannot_take_a_things_name(self):
        claim = self.core.claim("x").named(self.one.client_id)
        self.assertRefused(self.publisher(claim, telemetry(self.one.client_id), "x"))

    def test_the_server_goes_on_after_garbage(self):
        """Bytes that are no TLS at all, then a device as if nothing had been."""
        garbage = ["timeout", "5", "bash", "-c", f"echo garbage >/dev/tcp/localhost/{self.core.mqtt_port}"]
        subprocess.run(garbage, check=True)
        self.publish(self.one, telemetry(self.one.client_id), "still here")

    def self_signed(self, common_name):
        certificate = self.core.directory / f"{common_name}.cert.pem"
        key = self.core.directory / f"{common_name}.key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-days", "1", "-subj", f"/CN={common_name}", "-keyout", key, "-out", certificate],
            check=True, capture_output=True,
        )
        return fleet.Identity(common_name, certificate, key)


del MosquittoTest  # A base class, not a case of its own.
