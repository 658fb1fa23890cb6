"""Other people's clients in plain MQTT to the sidecar of a device that rotates: they notice nothing."""

import queue
import threading
import unittest

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from conformance.aws import Account
from conformance.fleet import Identity, orders, telemetry
from conformance.mosquitto import Bridge, Numbers, Publisher, Speaker, Subscriber, connected, publish
from conformance.process import BOUND, waits
from conformance.sdk import Mqtt5, Mqtt311

ROTATIONS = 2


class Rotating(unittest.TestCase):
    """One local IoT Core with a controller; a device with a sidecar each test; an operator who hears and says all."""

    @classmethod
    def setUpClass(cls):
        cls.account = Account("--grace", "1s", setup=True)
        cls.addClassCleanup(cls.account.stop)
        cls.core = cls.account.core
        cls.operator = cls.account.operator()

    def device(self, thing):
        """Starts a device; its agent, and the sidecar's place."""
        self.thing = self.core.provision(thing)
        self.agent = self.core.with_sidecar(self.thing)
        self.addCleanup(self.agent.stop)
        self.agent.line(lambda line: '"link_up"' in line, what="an identity in use")
        return self.core.sidecar(self.thing)

    def rotate(self, number):
        """The device's rotation of that number, to its end: the client's link has moved, the old certificate is gone."""
        self.core.rotate(self.thing)
        self.agent.line(lambda line: '"what":"moved"' in line, number, what="a move")
        self.agent.line(lambda line: '"retired"' in line, number, what="the end of the old certificate")

    def assertOneLife(self, client):
        """It has connected once, and nothing has ended that."""
        self.assertEqual(sum(map(connected, client.lines())), 1, client.transcript())


class Mosquitto(Rotating):
    def test_a_subscriber_hears_what_comes_after_rotations_as_before(self):
        for version in ["311", "5"]:
            with self.subTest(version):
                thing = f"hears-{version}"
                sidecar, topic = self.device(thing), f"device/{thing}/orders"
                with Subscriber(sidecar, Identity("plc", None, None), topic, version=version) as subscriber:
                    subscriber.ready()
                    for number in range(ROTATIONS + 1):
                        publish(self.core, self.operator, topic, f"order {number}")
                        self.assertEqual(subscriber.message(number), (topic, 1, f"order {number}"))
                        if number < ROTATIONS:
                            self.rotate(number)
                    self.assertEqual(subscriber.messages(), ROTATIONS + 1)
                    self.assertOneLife(subscriber)

    def test_a_publisher_goes_on_publishing_through_rotations(self):
        for version in ["311", "5"]:
            with self.subTest(version):
                thing = f"says-{version}"
                sidecar, topic = self.device(thing), telemetry(thing)
                repeat = ["--repeat", 1_000_000, "--repeat-delay", 0.02]
                with Subscriber(self.core, self.operator.named(f"hears {thing}"), topic) as heard:
                    heard.ready()
                    with Publisher(sidecar, Identity("plc", None, None), topic, "21.5", *repeat, version=version) as publisher:
                        for number in range(ROTATIONS):
                            heard.message(heard.messages() + 5)
                            self.rotate(number)
                        heard.message(heard.messages() + 5)
                        publisher.stop()
                        self.assertOneLife(publisher)
                        acknowledged = sum("received PUBACK" in line for line in publisher.lines())
                        said = sum("sending PUBLISH" in line for line in publisher.lines())
                        heard.message(acknowledged - 1)
                        self.assertLessEqual(heard.messages(), said, "none came twice")


# As docs/clients/mosquitto.md has it.
BRIDGE = """
connection aws
address {endpoint}:{port}
bridge_protocol_version {version}
cleansession false
try_private false
notifications false
topic {up}/# out 1
topic {down}/# in 1
"""


class Bridged(Rotating):
    def test_a_bridge_carries_everything_both_ways_through_rotations(self):
        for version in ["mqttv311", "mqttv50"]:
            with self.subTest(version):
                thing = f"bridge-{version}"
                sidecar = self.device(thing)
                up, down = telemetry(thing), orders(thing)
                bridge = BRIDGE.format(endpoint=sidecar.endpoint, port=sidecar.mqtt_port, version=version, up=up, down=down)
                with (Bridge(self.core.directory / f"{thing}.conf", bridge) as local,
                      Subscriber(local, Identity("plc", None, None), f"{down}/a") as below,
                      Subscriber(self.core, self.operator.named(f"hears {thing}"), f"{up}/a") as above):
                    below.ready()
                    above.ready()
                    local.bridged()
                    self.carries(local, above, below, up=f"{up}/a", down=f"{down}/a")
                    self.assertEqual(local.connects(), (1, 1), local.transcript())
                    self.assertOneLife(below)

    def carries(self, local, above, below, up, down):
        """Numbers both ways while the device rotates: all of them come, in order, none twice."""
        with (Speaker(local, Identity("sensor", None, None), up) as sensor,
              Speaker(self.core, self.operator.named(f"says {down}"), down) as operator,
              Numbers(sensor.say) as rising, Numbers(operator.say) as falling):
            for number in range(ROTATIONS):
                above.passes()
                below.passes()
                self.rotate(number)
            above.passes()
            below.passes()
            for numbers, heard in [(rising, above), (falling, below)]:
                said = numbers.end()
                heard.message(said - 1)
                self.assertEqual(heard.payloads(), [str(number) for number in range(said)])


class Paho(Rotating):
    def test_a_client_that_hears_itself_loses_nothing_and_hears_nothing_twice(self):
        for protocol in [paho.MQTTv311, paho.MQTTv5]:
            with self.subTest(protocol):
                thing = f"paho-{protocol}"
                sidecar = self.device(thing)
                with Talker(sidecar, telemetry(thing), protocol) as talker:
                    for number in range(ROTATIONS):
                        talker.heard(20)
                        self.rotate(number)
                    talker.heard(20)
                    said = talker.hush()
                    self.assertEqual(talker.all(said), list(range(said)))
                    self.assertEqual((talker.connects, talker.disconnects), (1, 0))


class Sdk(Rotating):
    def test_it_talks_and_hears_through_rotations_without_an_interruption(self):
        for client in [Mqtt311, Mqtt5]:
            with self.subTest(client.__name__):
                thing = f"sdk-{client.__name__}"
                sidecar, topic = self.device(thing), telemetry(thing)
                with client(sidecar, Identity("sdk", None, None)) as connection:
                    heard = connection.subscribe(topic)
                    for number in range(ROTATIONS + 1):
                        connection.publish(topic, f"{number}")
                        self.assertEqual(heard.get(timeout=BOUND), (topic, f"{number}".encode()))
                        if number < ROTATIONS:
                            self.rotate(number)
                    self.assertEqual((connection.interruptions, heard.qsize()), (0, 0))


class Dying(unittest.TestCase):
    """The broker goes away, and while the sidecar holds its client, the agent goes too."""

    def test_what_paho_had_published_to_a_sidecar_that_was_killed_arrives_all_the_same(self):
        for protocol in [paho.MQTTv311, paho.MQTTv5]:
            with self.subTest(protocol):
                account = Account(setup=True)
                self.addCleanup(account.stop)
                self.lives_through(account.core, account.operator(), protocol)

    def lives_through(self, core, operator, protocol):
        device = core.provision("dies")
        topic, messages = telemetry("dies"), 40
        with core.with_sidecar(device) as agent:
            agent.line(lambda line: '"link_up"' in line, what="an identity in use")
            sidecar = core.sidecar(device)
            publisher = Persistent(sidecar, protocol)
            self.addCleanup(publisher.stop)
            publisher.say(topic, "before").wait_for_publish(BOUND)
            core.crash()
            said = [publisher.say(topic, str(number)) for number in range(messages)]
            waits(lambda: holds(core.sidecar_status(device)) == messages, "what paho has published to wait in the sidecar")
            self.assertEqual(publisher.connects, 1)
            agent.kill()
        core.again()
        with Subscriber(core, operator.named("hears"), topic) as heard:
            heard.ready()
            with core.with_sidecar(device, sidecar.mqtt_port):
                for message in said:
                    message.wait_for_publish(60)
                numbers = {heard.message(number)[2] for number in range(messages)}
                while len(numbers) < messages:
                    numbers.add(heard.message(heard.messages())[2])
                self.assertEqual(numbers, {str(number) for number in range(messages)})
                self.assertEqual(publisher.connects, 2)


def holds(status):
    """How many packets of a client that is held are on their way up."""
    return status["held"] and status["waiting_up"] + status["unanswered_up"]


class Persistent:
    """paho with a session that is kept, which connects again by itself."""

    def __init__(self, place, protocol):
        self.connects = 0
        # MQTT 5 says how it wants its session when it connects.
        kept = {} if protocol == paho.MQTTv5 else {"clean_session": False}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "plc", protocol=protocol, **kept)
        self._client.max_inflight_messages_set(100)
        self._client.on_connect = self._on_connect
        options = {"clean_start": False, "properties": expiry(600)} if protocol == paho.MQTTv5 else {}
        connected = self._connected = threading.Event()
        self._client.connect(place.endpoint, place.mqtt_port, **options)
        self._client.loop_start()
        if not connected.wait(BOUND):
            raise AssertionError("no CONNACK")

    def say(self, topic, payload):
        return self._client.publish(topic, payload, qos=1)

    def stop(self):
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, *_):
        self.connects += 1
        self._connected.set()


def expiry(seconds):
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = seconds
    return properties


class Talker:
    """paho, which publishes numbers on a topic as fast as they are acknowledged, and hears them."""

    def __init__(self, place, topic, protocol):
        self.connects = self.disconnects = 0
        self._topic, self._heard, self._numbers, self._ends = topic, queue.Queue(), [], threading.Event()
        self._client = client = paho.Client(CallbackAPIVersion.VERSION2, "plc", protocol=protocol)
        subscribed = threading.Event()
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = lambda _c, _u, message: self._heard.put(int(message.payload))
        client.connect(place.endpoint, place.mqtt_port)
        client.loop_start()
        if not subscribed.wait(BOUND):
            raise AssertionError("no SUBACK")
        self._said = 0
        self._saying = threading.Thread(target=self._say, daemon=True)
        self._saying.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._client.disconnect()
        self._client.loop_stop()

    def heard(self, more):
        """Waits until so many more have come."""
        for _ in range(more):
            self._numbers.append(self._heard.get(timeout=BOUND))

    def hush(self):
        """Ends it; how many numbers it has said."""
        self._ends.set()
        self._saying.join(BOUND)
        return self._said

    def all(self, said):
        """The numbers in the order in which they came, to the last and whatever came after it so far."""
        while said - 1 not in self._numbers:
            self.heard(1)
        self.heard(self._heard.qsize())
        return self._numbers

    def _on_connect(self, client, *_):
        self.connects += 1
        client.subscribe(self._topic, qos=1)

    def _on_disconnect(self, *_):
        self.disconnects += 1

    def _say(self):
        while not self._ends.is_set():
            self._client.publish(self._topic, str(self._said), qos=1).wait_for_publish(BOUND)
            self._said += 1
