"""`mosquitto_pub` and `mosquitto_sub`, as a shell would call them, and `mosquitto` with a bridge.

Not a library of ours: what is asserted is what those programs print and how they exit.
"""

import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

from conformance.process import Process

# Seconds from one number to the next: 50 a second.
EVERY = 0.02


def _arguments(program, core, identity, *, version="311", ca=None, port=None, options=()):
    # Without a certificate in plain MQTT, as a sidecar takes it.
    tls = identity.certificate and [
        "--cafile", ca or core.root_ca, "--cert", identity.certificate, "--key", identity.key]
    return [
        # Their output is for terminals; a pipe would be told only at the end.
        "stdbuf", "-oL", program, "-d",
        "-h", core.endpoint, "-p", port or core.mqtt_port, "-V", f"mqttv{version}", *(tls or []),
        "-i", identity.client_id, *options,
    ]


class Subscriber(Process):
    """`mosquitto_sub` on one filter at QoS 1."""

    def __init__(self, core, identity, topic, *options, **kwargs):
        options = ["-q", "1", "-t", topic, "-F", "MESSAGE %t %q %p", *options]
        super().__init__(_arguments("mosquitto_sub", core, identity, options=options, **kwargs))

    def ready(self):
        """Waits until the broker granted the subscription."""
        line = self.line(lambda line: line.startswith("Subscribed (mid: "), what="a SUBACK")
        if not line.endswith((": 0", ": 1")):
            raise AssertionError(f"the subscription was refused\n{self.transcript()}")
        return self

    def message(self, after=0):
        """Topic, QoS and payload of the message after the first `after` ones."""
        line = self.line(lambda line: line.startswith("MESSAGE "), after, what="a message")
        topic, qos, payload = line.removeprefix("MESSAGE ").split(" ", 2)
        return topic, int(qos), payload

    def messages(self):
        """How many messages have come."""
        return len(self.payloads())

    def payloads(self):
        """The payloads of the messages that have come, none of which has spaces."""
        return [line.split(" ")[-1] for line in self.lines() if line.startswith("MESSAGE ")]

    def passes(self, more=20):
        """Waits until so many more messages have come."""
        self.message(self.messages() + more - 1)


class Printed(Subscriber):
    """`mosquitto_sub` by a command that somebody else has written down."""

    def __init__(self, command):
        Process.__init__(self, ["stdbuf", "-oL", *command, "-d", "-F", "MESSAGE %t %q %p"])


class Publisher(Process):
    """`mosquitto_pub` of one message; a payload that is a path is that file's content."""

    def __init__(self, core, identity, topic, payload, *options, qos=1, **kwargs):
        content = ["-f" if isinstance(payload, Path) else "-m", payload]
        options = ["-q", qos, "-t", topic, *content, *options]
        super().__init__(_arguments("mosquitto_pub", core, identity, options=options, **kwargs))

    def acknowledged(self):
        """Waits for the end of a publish that must succeed."""
        code = self.ends()
        refused = [line for line in self.lines() if "failed" in line.lower() or "rror" in line]
        if code != 0 or refused:
            raise AssertionError(f"the publish was refused (exit code {code})\n{self.transcript()}")


def publish(core, identity, topic, payload, *options, **kwargs):
    """Publishes and waits for the acknowledgement."""
    with Publisher(core, identity, topic, payload, *options, **kwargs) as publisher:
        publisher.acknowledged()


def connected(line):
    """Whether this line of theirs reports a CONNACK that accepts."""
    return line.endswith("received CONNACK (0)")


class Numbers:
    """Says 0, 1, 2… one after the other until its end, by `say`, which takes the number as text."""

    def __init__(self, say):
        self.said = 0
        self._say, self._ends = say, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Says no more; how many it has said."""
        self._ends.set()
        self._thread.join()
        return self.said

    def _run(self):
        while not self._ends.wait(EVERY):
            self._say(str(self.said))
            self.said += 1


class Speaker(Process):
    """`mosquitto_pub` that publishes each line it is told, at QoS 1, on one connection."""

    def __init__(self, core, identity, topic, **kwargs):
        super().__init__(_arguments("mosquitto_pub", core, identity, options=["-q", "1", "-t", topic, "-l"], **kwargs),
                         stdin=subprocess.PIPE)


class Bridge(Process):
    """A mosquitto of its own with this bridge, and a listener on loopback for local clients; configured in the file `settings`."""

    def __init__(self, settings, bridge):
        self.endpoint, self.mqtt_port = "127.0.0.1", free_port()
        settings.write_text("\n".join([
            f"listener {self.mqtt_port} 127.0.0.1", "allow_anonymous true", "log_type all", "log_dest stderr",
            # Whoever begins as root would go on as a user who may not read the key.
            *(["user root"] if os.geteuid() == 0 else []),
            bridge,
        ]))
        # Debian keeps it where only root's PATH looks.
        super().__init__([shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", settings])
        try:
            self.line(lambda line: "running" in line, what="a broker that runs")
        except AssertionError:
            self.stop()
            raise

    def bridged(self):
        """Waits until the bridge's subscription is granted."""
        self.line(lambda line: "Received SUBACK from local." in line, what="the bridge's SUBACK")

    def connects(self):
        """How often the bridge has connected, and tried to."""
        said = self.lines()
        return (sum("Received CONNACK on connection local." in line for line in said),
                sum("Bridge " in line and line.endswith("sending CONNECT") for line in said))


def free_port():
    """mosquitto takes no port 0, so one is chosen for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
