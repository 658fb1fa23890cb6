"""All that these tests know of fleetkey: its command line, its files, its topics.

Nothing else in this folder names them, so that a change of the command line is a change of this file.
"""

import json
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from conformance.process import BOUND, Process

# The binary under test; `./test` sets it.
BINARY = Path(os.environ.get("FLEETKEY_BIN", "target/debug/fleetkey"))
# The device's, built beside it.
AGENT = BINARY.with_name("fleetkey-agent")

# The templates that `--setup` makes.
CLAIM_TEMPLATE = "CertRotationTemplate"
ROTATION_TEMPLATE = "CertRotationTemplate-rotate"


class Identity(NamedTuple):
    """A certificate, its key, and the client id it connects with first of all."""

    client_id: str
    certificate: Path
    key: Path

    def named(self, client_id):
        """The same certificate under another client id."""
        return self._replace(client_id=client_id)


class Sidecar(NamedTuple):
    """The place of a sidecar: a broker in plain MQTT on this machine."""

    endpoint: str
    mqtt_port: int


class Core:
    """A local IoT Core with its own data directory.

    It is set up with the shipped policies, templates and claim unless `setup` is false: then it is empty.
    """

    def __init__(self, *options, alpn_port=0, setup=True):
        self.directory = Path(tempfile.mkdtemp(prefix="fleetkey-conformance-"))
        self.data = self.directory / "data"
        self._log = (self.directory / "server.log").open("w")
        self._arguments = [
            BINARY, "local", *(["--setup"] if setup else []), "--json", "--data-dir", self.data,
            "--alpn-port", alpn_port, "--rest", "127.0.0.1:0",
            # Tests of one client id follow each other faster than one a second.
            "--connect-rate-limit", "false", *options]
        self._start(0)

    def _start(self, mqtt_port):
        self._server = Process([*self._arguments, "--mqtt-port", mqtt_port], stderr=self._log)
        try:
            self.ready = json.loads(self._server.line(lambda _: True, what="the ready line"))
        except BaseException:
            self.stop()
            raise
        self.endpoint = self.ready["endpoint"]
        self.mqtt_port = self.ready["mqtt_port"]
        self.alpn_port = self.ready["alpn_port"]
        self.root_ca = Path(self.ready["root_ca"])

    def crash(self):
        """Ends the server as a power cut would; its data stay."""
        self._server.kill()

    def again(self):
        """Starts it once more on its data, at the port where its devices look for it."""
        self._start(self.mqtt_port)

    def stop(self):
        """Ends the server and removes its data; its exit code."""
        code = self._server.stop()
        self._log.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        return code

    def log_tail(self, lines=40):
        """The end of what the server logged."""
        return "\n".join((self.directory / "server.log").read_text(errors="replace").splitlines()[-lines:])

    def run(self, *arguments):
        """Runs a command of the binary to its end; what it printed."""
        with Process([BINARY, *arguments]) as command:
            code = command.ends()
            if code != 0:
                raise AssertionError(f"exit code {code}\n{command.transcript()}\n--- server\n{self.log_tail()}")
            return command.lines()

    def provision(self, serial):
        """Provisions a device by claim, as an operator would; its identity, under the thing's name."""
        self.run("device", "provision", "--serial", serial, "--data-dir", self.data)
        files = self.data / "devices" / serial / "export"
        return Identity(serial, files / "device.cert.pem", files / "device.key.pem")

    def device(self, identity, *options):
        """Starts the device's agent; it prints its events, one JSON object a line."""
        return Process([BINARY, "device", "connect", "--serial", identity.client_id, "--data-dir", self.data, *options])

    def with_sidecar(self, identity, port=0):
        """Starts the device's agent with a sidecar, on any free port unless one is given."""
        return self.device(identity, "--sidecar", f"127.0.0.1:{port}")

    def sidecar(self, identity):
        """Where the sidecar of the device's running agent is, as local clients have it."""
        host, _, port = self.sidecar_status(identity)["listen"][0].removeprefix("tcp ").rpartition(":")
        return Sidecar(host, int(port))

    def sidecar_status(self, identity):
        """What the device's running agent tells of its sidecar."""
        told = json.loads("".join(self.run(
            "device", "status", "--json", "--serial", identity.client_id, "--data-dir", self.data)))
        return told["status"]["sidecar"]

    def agent(self, identity):
        """Starts the device's own program, beside a client that has the thing's session."""
        return Agent(self, identity)

    def rotate(self, identity):
        """Orders the running agent to rotate."""
        self.run("device", "rotate", "--serial", identity.client_id, "--data-dir", self.data)

    def step(self, name, identity):
        """Has the running agent take a step of a rotation in an operator's steps."""
        self.run("device", name, "--serial", identity.client_id, "--data-dir", self.data)

    def sign_request(self, request, serial, to, environment, authority=None):
        """Has a PLC's request signed by the account, or by a CA's certificate and key: exit code, and the object printed."""
        by = ["--ca", authority[0], "--ca-key", authority[1]] if authority else []
        with Process([BINARY, "sign-request", request, "--serial", serial, "--to", to, *by,
                      "--fleet-dir", self.data, "--json"], env=environment) as command:
            code = command.ends()
            told = [line for line in command.lines() if line.startswith("{")]
            if not told:
                raise AssertionError(command.transcript())
            return code, json.loads(told[-1])

    def environment(self):
        """What `fleetkey local env` prints, as a shell would have it."""
        lines = self.run("local", "env", "--data-dir", self.data)
        words = [shlex.split(line) for line in lines]
        return dict(word.split("=", 1) for command, *rest in words if command == "export" for word in rest)

    def claim(self, suffix):
        """The claim certificate under a client id of its own."""
        files = self.data / "operator" / "claim"
        return Identity(f"claim~{suffix}", files / "certificate.pem", files / "key.pem")

class Agent:
    """`fleetkey-agent` of a device whose session belongs to another program, until it is stopped."""

    def __init__(self, core, identity):
        state = core.data / "devices" / identity.client_id
        fleet = json.loads((core.data / "operator" / "config.json").read_text())
        self._config = core.directory / f"{identity.client_id}.toml"
        self._config.write_text("\n".join([
            f'serial = "{identity.client_id}"', f'state = "{state}"', f'topic_root = "{fleet["topic_root"]}"',
            "[endpoint]", f'host = "{core.endpoint}"', f"port = {core.mqtt_port}", f'roots = ["{core.root_ca}"]',
            "[templates]", f'rotation = "{ROTATION_TEMPLATE}"',
            "[session]", "live = false",
        ]))
        self._agent = Process([AGENT, "run", "--config", self._config])
        try:
            self._agent.line(lambda line: "link_up" in line, what="a connection beside the session")
        except BaseException:
            self.stop()
            raise

    def stop(self):
        self._agent.stop()

    def order(self, *arguments):
        """A command to the running agent: its exit code, and what it printed."""
        with Process([AGENT, *arguments, "--config", self._config]) as command:
            return command.ends(), command.transcript()

    def retires_on_anothers_word(self):
        """Orders the retirement, and waits until it says that whoever has the session must ask; that may take its time."""
        for _ in range(BOUND):
            code, told = self.order("retire", "--timeout", "1s")
            if code != 1:
                raise AssertionError(told)
            if "live = false" in told:
                return
        raise AssertionError(told)

    def hears(self, words):
        """Waits until the agent says this of itself."""
        self._agent.line(lambda line: words in line, what=f"a line with {words!r}")

    def run(self, *arguments):
        """The same, to its good end; the object that it printed."""
        with Process([AGENT, *arguments, "--config", self._config], stderr=subprocess.DEVNULL) as command:
            if command.ends() != 0:
                raise AssertionError(f"{command.transcript()}\n--- agent\n{self._agent.transcript()}")
            return json.loads("".join(command.lines()))


def telemetry(thing):
    """A topic that `thing` may publish, subscribe and receive, and no other thing may."""
    return f"device/{thing}/telemetry"


def orders(thing):
    """A business topic that `thing` may subscribe to."""
    return f"device/{thing}/commands"


def export(core, program, identity, directory):
    """Writes a device's files as `program` wants them; what it is to be configured with."""
    lines = core.run("export", program, "--serial", identity.client_id, "--data-dir", core.data, "--to", directory)
    return "\n".join(lines[lines.index("") + 1:])


def commands(thing):
    """A topic that `thing` may subscribe to and never publish."""
    return f"fleetkey/things/{thing}/commands"


def requests(thing):
    """A topic that `thing` may publish and never subscribe to."""
    return f"fleetkey/things/{thing}/requests"


def answers(thing):
    """Where the controller answers `thing`."""
    return f"fleetkey/things/{thing}/answers"


def agent(identity):
    """The identity under the agent's client id, which lives beside the device's own."""
    return identity.named(f"{identity.client_id}~agent")


def parameters(serial):
    """What the claim template asks of RegisterThing."""
    return {"SerialNumber": serial}


def alpn_port():
    """443 where this process may listen on it, because SDKs choose ALPN by that number; else any."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 443))
        except OSError:
            return 0
    return 443
