"""A PLC with a store and an MQTT client that is switched by `xEnable`, as an IEC program would."""

import functools
import subprocess
import tempfile
from pathlib import Path

from conformance.codesys.store import Store
from conformance.process import Process

HERE = Path(__file__).parent


@functools.cache
def client():
    """The client in C, compiled against Debian's libpaho-mqtt-dev."""
    program = Path(tempfile.mkdtemp(prefix="fleetkey-paho-")) / "client"
    subprocess.run(
        ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", program, HERE / "client.c", "-lpaho-mqtt3cs"], check=True)
    return program


class Plc:
    """One PLC; its use case is what the certificate manager shows, its client id is the thing's name."""

    USE_CASE = "MQTT"

    def __init__(self, core, thing, directory, **store):
        self.directory = Path(directory)
        self.directory.mkdir(mode=0o700)
        self.store = Store(self.directory, **store)
        self.thing = thing
        uri = f"ssl://{core.endpoint}:{core.mqtt_port}"
        self._client = Process([client(), uri, thing], stdin=subprocess.PIPE)
        self._answers = 0

    def stop(self):
        self._client.stop()

    def enable(self):
        """`xEnable` FALSE, then TRUE: the store is asked now. The certificate, or why the connection failed."""
        self._order("disconnect", ["disconnected"])
        chosen = self.store.chosen(self.USE_CASE, self.thing)
        files = self.store.pem(chosen, self.directory)
        answer = self._order(f"connect {' '.join(map(str, files))}", ["connected", "refused"])
        return chosen if answer == "connected" else answer

    def subscribe(self, topic):
        return self._order(f"subscribe {topic}", ["subscribed", "denied"])

    def publish(self, topic, payload):
        """A payload is one word here."""
        return self._order(f"publish {topic} {payload}", ["published", "unacknowledged"])

    def message(self, after=0):
        """Topic and payload of the message after the first `after` ones."""
        line = self._client.line(lambda line: line.startswith("message "), after, what="a message")
        return tuple(line.split(" ", 2)[1:])

    def messages(self):
        """How many messages have come."""
        return sum(line.startswith("message ") for line in self._client.lines())

    def _order(self, order, answers):
        """One order and its answer; messages may come in between."""
        def is_answer(line):
            return line.split(" ", 1)[0] in answers

        before = sum(map(is_answer, self._client.lines()))
        self._client.say(order)
        return self._client.line(is_answer, before, what=f"an answer to {order}")
