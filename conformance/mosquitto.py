"""`mosquitto_pub` and `mosquitto_sub`, as a shell would call them.

Not a library of ours: what is asserted is what those programs print and how they exit.
"""

from pathlib import Path

from conformance.process import Process


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
        return sum(line.startswith("MESSAGE ") for line in self.lines())


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
