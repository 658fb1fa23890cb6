"""What `fleetkey export` prints, used as it stands: by mosquitto, by paho, by libmosquitto; and again after a rotation."""

import json
import time
import unittest

from conformance.aws import Account
from conformance.fleet import Identity, export, orders, requests, telemetry
from conformance.mosquitto import Bridge, Numbers, Speaker, Subscriber, publish
from conformance.process import BOUND, waits


class Exported(unittest.TestCase):
    """One local IoT Core whose controller revokes a second after the soak, and an operator who hears and says all."""

    account_options = []

    @classmethod
    def setUpClass(cls):
        cls.account = Account("--grace", "1s", *cls.account_options, setup=True)
        cls.addClassCleanup(cls.account.stop)
        cls.core = cls.account.core
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

    def test_its_clients_connect_with_the_files_that_are_named_for_libmosquitto(self):
        device = self.core.provision("library-1")
        topic = telemetry("library-1")
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


class Paho(Exported):
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
        waits(lambda: status(agent)["state"] == "soak", "a new certificate in use")
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
