"""What `fleetkey export` prints, used as it stands: by mosquitto, libmosquitto, paho and the AWS IoT Device SDK; again after
a rotation; and the line by which a program that has the thing's session has the certificate before retired.
"""

import json
import shlex
import time
import unittest
from datetime import UTC, datetime, timedelta

import awscrt.mqtt5

from conformance.aws import Account
from conformance.fleet import Identity, answers, export, orders, requests, telemetry
from conformance.mosquitto import Bridge, Numbers, Printed, Speaker, Subscriber, publish
from conformance.process import BOUND, Process, waits


class Exported(unittest.TestCase):
    """One local IoT Core whose controller revokes a second after the soak, and an operator who hears and says all."""

    account_options = []

    @classmethod
    def setUpClass(cls):
        cls.account = Account("--grace", "1s", *cls.account_options, setup=True)
        cls.addClassCleanup(cls.account.stop)
        cls.core = cls.account.core
        cls.iot = cls.account.client("iot")
        cls.operator = cls.account.operator()

    def rotate(self, device):
        """A rotation to its end: the certificate before can no longer connect."""
        with self.core.device(device) as running:
            running.line(lambda line: '"link_up"' in line, what="the live session")
            self.core.rotate(device)
            running.line(lambda line: '"retired"' in line, what="the end of the old certificate")

    def export(self, program, device):
        """Exports into the same directory each time; it, and what is printed to be configured."""
        directory = self.core.directory / f"{program}-{device.client_id}"
        return directory, export(self.core, program, device, directory)

    def heard(self, topic):
        """An operator's subscription in the account, from now on."""
        subscriber = Subscriber(self.core, self.operator.named(f"hears {topic}"), topic)
        self.addCleanup(subscriber.stop)
        return subscriber.ready()


class Mosquitto(Exported):
    def test_a_bridge_runs_on_the_snippet_and_after_a_restart_on_the_new_certificate(self):
        device = self.core.provision("bridge-1")
        up, down = f"{telemetry('bridge-1')}/a", f"{orders('bridge-1')}/a"
        heard = self.heard(up)
        for number in range(2):
            directory, sheet = self.export("mosquitto", device)
            self.assertEqual((directory / "bridge.conf").read_text().strip(), sheet)
            with Bridge(directory.with_suffix(".conf"), sheet) as local:
                with Subscriber(local, Identity("plc", None, None), down) as subscriber:
                    subscriber.ready()
                    local.bridged()
                    publish(local, Identity("sensor", None, None), up, f"up {number}")
                    self.assertEqual(heard.message(number), (up, 1, f"up {number}"))
                    publish(self.core, self.operator, down, f"down {number}")
                    self.assertEqual(subscriber.message(), (down, 1, f"down {number}"))
            if number == 0:
                self.rotate(device)

    def test_its_clients_connect_by_the_printed_command(self):
        device = self.core.provision("library-1")
        for number in range(2):
            _, sheet = self.export("libmosquitto", device)
            with Printed(shlex.split(line_of(sheet, "mosquitto_sub "))) as subscriber:
                subscriber.ready()
                topic = f"{orders('library-1')}/a"
                publish(self.core, self.operator, topic, f"down {number}")
                self.assertEqual(subscriber.message(), (topic, 1, f"down {number}"))
            if number == 0:
                self.rotate(device)


class Paho(Exported):
    def test_what_is_named_for_paho_connects(self):
        device = self.core.provision("named-1")
        topic = telemetry("named-1")
        heard = self.heard(topic)
        for number in range(2):
            _, sheet = self.export("paho", device)
            told = dict(line.split(None, 1) for line in sheet.splitlines()[:6])
            self.assertEqual(told["server"], f"ssl://{self.core.endpoint}:{self.core.mqtt_port}")
            named = Identity(sheet.splitlines()[1].split()[-1], told["keyStore"], told["privateKey"])
            publish(self.core, named, topic, f"up {number}", ca=told["trustStore"])
            self.assertEqual(heard.message(number), (topic, 1, f"up {number}"))
            if number == 0:
                self.rotate(device)


class PahoPython(Exported):
    ROTATIONS = 2
    # What has piled up without a connection is said at once: AWS throws away what exceeds its hundred a second.
    account_options = ["--messages-per-second", "0"]

    def test_the_printed_program_loses_nothing_either_way_while_its_last_lines_take_up_new_certificates(self):
        thing = "python-1"
        device = self.core.provision(thing)
        up, down = telemetry(thing), orders(thing)
        heard = self.heard(up)
        agent = self.core.agent(device)
        self.addCleanup(agent.stop)
        client, take_up, below = self.program(device, down)
        with (Numbers(lambda number: client.publish(up, number, qos=1)) as rising,
              Speaker(self.core, self.operator.named(f"says {down}"), down) as speaker, Numbers(speaker.say) as falling):
            for rotation in range(self.ROTATIONS):
                heard.passes()
                below.passes()
                old = self.rotates(agent, device)
                take_up()
                waits(lambda: below.connects == rotation + 2, "a connection on the new certificate")
                self.assertEqual((below.kept, below.refused), (rotation + 1, 0), "the session is kept")
                heard.passes()
                self.ends(agent, client, thing, old)
            ups, downs = rising.end(), falling.end()
            heard.line(lambda line: line.split(" ")[-1] == str(ups - 1) and line.startswith("MESSAGE "), what="the last telemetry")
            waits(lambda: str(downs - 1) in below.heard, "the last order")
        numbers = [sorted(set(map(int, came))) for came in (heard.payloads(), below.heard)]
        again = [len(heard.payloads()) - ups, len(below.heard) - downs]
        print(f"    {self.ROTATIONS} rotations: up {ups} said, {again[0]} twice; down {downs} said, {again[1]} twice")
        self.assertEqual(numbers, [list(range(ups)), list(range(downs))])

    def program(self, device, down):
        """The program that is printed, connected and subscribed; what takes up new files, and what it sees."""
        _, sheet = self.export("paho-python", device)
        names = {}
        exec(compile(sheet, "sheet", "exec"), names)
        client, below = names["client"], Below(names["client"])
        client.loop_start()
        self.addCleanup(client.loop_stop)
        self.addCleanup(client.disconnect)
        waits(lambda: below.connects, "a connection")
        client.subscribe(down, qos=1)
        waits(lambda: below.granted, "a subscription")
        steps = [line.removeprefix("# ") for line in sheet.splitlines() if line.startswith(("# context.", "# client."))]
        self.assertEqual(len(steps), 2, sheet)
        return client, lambda: exec(compile("\n".join(steps), "steps", "exec"), names), below

    def rotates(self, agent, device):
        """A rotation beside the program, its files exported anew; the certificate that is in use no longer."""
        old = status(agent)["certificate"]
        # Of two certificates of one second neither would be the older.
        born = device.certificate.stat().st_mtime
        waits(lambda: time.time() > int(born) + 1, "the next second")
        code, told = agent.order("rotate")
        self.assertEqual(code, 0, told)
        waits(lambda: (told := status(agent))["state"] == "soak" and told["exported"], "the files of a new certificate")
        self.export("paho-python", device)
        return old

    def ends(self, agent, client, thing, old):
        """The old certificate ends on the program's word."""
        waits(lambda: "live = false" in agent.order("retire", "--timeout", "1s")[1], "an agent that waits for the program")
        line = json.dumps({"op": "retire", "id": status(agent)["rotation"]})
        client.publish(requests(thing), line, qos=1).wait_for_publish(BOUND)
        self.assertEqual(agent.run("retire"), {"done": "retired"})
        told = self.account.client("iot").describe_certificate(certificateId=old)
        self.assertIn(told["certificateDescription"]["status"], ["INACTIVE", "REVOKED"])


class Sdk(Exported):
    def test_the_printed_client_connects_and_after_a_rotation_another_does(self):
        device = self.core.provision("sdk-1")
        topic = telemetry("sdk-1")
        heard = self.heard(topic)
        for number in range(2):
            _, sheet = self.export("aws-sdk", device)
            names = {}
            exec(compile(sheet, "sheet", "exec"), names)
            says(names["client"], topic, f"up {number}")
            self.assertEqual(heard.message(number), (topic, 1, f"up {number}"))
            names["client"].stop()
            if number == 0:
                self.rotate(device)


class Retirement(Exported):
    """Programs that have the thing's session, beside an agent that has not: `[session] live = false`."""

    def begin(self, name):
        """A device with its agent; the id of its first certificate."""
        self.device = self.core.provision(name)
        self.agent = self.core.agent(self.device)
        self.addCleanup(self.agent.stop)
        self.first = self.attached(name)[0]

    def attached(self, name):
        found = self.iot.list_thing_principals(thingName=name)["principals"]
        return [arn.rpartition("/")[2] for arn in found]

    def switch(self):
        """Another certificate is in use: the agent's, until the program takes up what is exported now."""
        issued = self.iot.describe_certificate(certificateId=self.first)["certificateDescription"]["creationDate"]
        waits(lambda: datetime.now(UTC) >= issued + timedelta(seconds=1), "a second after the first certificate")
        self.agent.run("stage")
        self.agent.run("switch")

    def status(self):
        return self.iot.describe_certificate(certificateId=self.first)["certificateDescription"]["status"]

    def assertRetired(self):
        self.assertEqual(self.agent.run("retire"), {"done": "retired"})
        self.assertIn(self.status(), ["INACTIVE", "REVOKED"])

    def test_the_printed_line_retires_the_certificate_before_and_said_on_that_one_it_retires_nothing(self):
        self.begin("retires-1")
        answered = self.heard(answers("retires-1"))
        before = self.core.directory / "before"
        export(self.core, "libmosquitto", self.device, before)
        self.switch()
        directory, sheet = self.export("libmosquitto", self.device)
        command, program = (shlex.split(line_of(sheet, f"mosquitto_{word} ")) for word in ["pub", "sub"])
        payload = json.loads(command[-1])
        self.assertEqual((payload["op"], command[-3]), ("retire", requests("retires-1")))

        # In the place of the program, which is still on the files of the certificate before, and goes on with them.
        def on_those_before(words):
            return [word.replace(str(directory), str(before)) for word in words]

        self.agent.retires_on_anothers_word()
        self.run_command(on_those_before(command))
        with Printed(on_those_before(program)) as running:
            running.ready()
            answer = json.loads(answered.message()[2])
            self.assertEqual((answer["id"], answer["witness"], answer["retired"]), (payload["id"], self.first, []))
            self.agent.hears("on another certificate")
            self.assertEqual(self.status(), "ACTIVE")
        self.agent.retires_on_anothers_word()
        self.assertEqual(self.agent.run("status")["status"]["state"], "retiring")

        self.run_command(command)
        with Printed(program) as running:
            running.ready()
            self.assertRetired()

    def test_the_line_goes_up_through_a_bridge(self):
        self.begin("retires-2")
        directory, _ = self.export("mosquitto", self.device)
        with Bridge(directory.with_suffix(".conf"), (directory / "bridge.conf").read_text()) as local:
            local.bridged()
        self.switch()
        directory, sheet = self.export("mosquitto", self.device)
        payload = line_of(sheet, "payload ").removeprefix("payload ").strip()
        self.agent.retires_on_anothers_word()
        with Bridge(directory.with_suffix(".conf"), (directory / "bridge.conf").read_text()) as local:
            local.bridged()
            publish(local, Identity("tool", None, None), requests("retires-2"), payload)
            self.assertRetired()

    def test_the_line_is_said_by_the_sdk(self):
        self.begin("retires-3")
        self.switch()
        _, sheet = self.export("aws-sdk", self.device)
        names = {}
        exec(compile(sheet, "sheet", "exec"), names)
        self.addCleanup(names["client"].stop)
        self.agent.retires_on_anothers_word()
        topic, payload = (line_of(sheet, f"{word} ").removeprefix(word).strip() for word in ["topic", "payload"])
        says(names["client"], topic, payload)
        self.assertRetired()

    def run_command(self, command):
        with Process(command) as process:
            self.assertEqual(process.ends(), 0, process.transcript())


def line_of(sheet, beginning):
    """The line of a sheet that begins so, whatever comment it stands in."""
    lines = [line.removeprefix("#").strip() for line in sheet.splitlines()]
    return next(line for line in lines if line.startswith(beginning))


def says(client, topic, payload):
    """Publishes at QoS 1 by the SDK, to the PUBACK."""
    packet = awscrt.mqtt5.PublishPacket(topic=topic, payload=payload, qos=awscrt.mqtt5.QoS.AT_LEAST_ONCE)
    client.publish(packet).result(BOUND)


def status(agent):
    """What the agent says of its device."""
    return agent.run("status")["status"]


class Below:
    """What a paho client sees: its connections, and the payloads that it hears."""

    def __init__(self, client):
        self.connects = self.kept = self.refused = self.granted = 0
        self.heard = []
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = lambda _c, _u, message: self.heard.append(message.payload.decode())

    def passes(self, more=20):
        """Waits until so many more have come."""
        wanted = len(self.heard) + more
        waits(lambda: len(self.heard) >= wanted, "orders")

    def _on_connect(self, _client, _userdata, flags, reason, _properties):
        self.kept += flags.session_present
        self.refused += reason.is_failure
        self.connects += 1

    def _on_subscribe(self, *_):
        self.granted += 1
