"""`fleetkey setup` and `cleanup` on implementations of AWS that are not ours: what they make and remove is no matter of our
own server's kindness.

MiniStack has all that a fleet needs. moto has neither provisioning templates nor tags of AWS IoT; those calls go to a local
IoT Core, everything else to moto (`Beside`). docs/emulators.md tells what was found.
"""

import http.client
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

import boto3
from botocore.config import Config

from conformance import emulators
from conformance.fleet import BINARY, Core
from conformance.process import Process

# Seconds for one command; it takes less than one, but for what it has to wait for.
BOUND = 120
FLEET = {"policies": 4, "certificates": 3, "groups": 1, "types": 1, "templates": 3, "rules": 1, "roles": 3, "functions": 1, "logs": 1}
EMPTY = dict.fromkeys(FLEET, 0)
# moto_server with a setting that it does not take from outside: else an id is the SHA-256 of a certificate's text, not of the
# certificate.
MOTO = """
import moto.core.config, moto.server
moto.core.config.default_user_config["iot"]["use_valid_cert"] = True
moto.server.main(["-H", "127.0.0.1", "-p", "0"])
"""


def run(url):
    """The commands in turn on an account that is empty: what each said last, and what there was after it."""
    environment = emulators.elsewhere(url)
    steps = []
    with tempfile.TemporaryDirectory() as directory:
        for command in ["setup", "setup", "status", "cleanup", "cleanup"]:
            ran = subprocess.run([BINARY, command, "--json", "--fleet-dir", directory], env=environment,
                                 capture_output=True, text=True, timeout=BOUND)
            last = json.loads(ran.stdout.splitlines()[-1]) if ran.returncode == 0 else ran.stderr
            steps.append([last, inventory(environment)])
    return steps


def inventory(environment):
    """How many there are of each kind, by boto3."""
    config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
    with mock.patch.dict(os.environ, environment, clear=True):
        iot, iam, functions, logs = (boto3.client(name, config=config) for name in ["iot", "iam", "lambda", "logs"])
    lists = {
        "policies": iot.list_policies()["policies"],
        "certificates": iot.list_certificates()["certificates"],
        "groups": iot.list_thing_groups()["thingGroups"],
        "types": iot.list_thing_types()["thingTypes"],
        "templates": iot.list_provisioning_templates()["templates"],
        "rules": iot.list_topic_rules()["rules"],
        "roles": [role for role in iam.list_roles()["Roles"] if "fleetkey" in role["RoleName"]],
        "functions": functions.list_functions()["Functions"],
        "logs": logs.describe_log_groups()["logGroups"],
    }
    return {name: len(found) for name, found in lists.items()}


class Beside:
    """An endpoint in front of two accounts: what the first does not have goes to the second.

    What is no GET goes to both, so that templates find their role, and tags what they are of; the first one's answer counts.
    """

    def __init__(self, first, second):
        self.first, self.second = first.removeprefix("http://"), second.removeprefix("http://")
        beside = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                beside.answer(self, body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, request, body):
        missing = request.path.startswith(("/provisioning-templates", "/tags?"))
        answer = None if missing else self.ask(self.first, request, body)
        if missing or request.command != "GET":
            second = self.ask(self.second, request, body)
            answer = answer or second
        status, headers, text = answer
        request.send_response(status)
        for name, value in headers:
            if name.lower() not in ["connection", "content-length", "date", "server", "transfer-encoding"]:
                request.send_header(name, value)
        request.send_header("content-length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    @staticmethod
    def ask(account, request, body):
        connection = http.client.HTTPConnection(account, timeout=BOUND)
        try:
            connection.request(request.command, request.path, body, dict(request.headers))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class SetupElsewhere(unittest.TestCase):
    """From nothing to nothing; skipped where the others are not installed."""

    @classmethod
    def setUpClass(cls):
        if not emulators.installed():
            raise unittest.SkipTest("moto and MiniStack are not installed; ./test conformance does it")

    def check(self, steps):
        """Made, kept, all as wanted, removed, nothing left to remove; and nothing is there in the end."""
        first, second, status, cleanup, again = steps
        self.step(first, FLEET, changed=18, kept=0)
        self.step(second, FLEET, changed=0, kept=18)
        self.step(status, FLEET, settled=True)
        self.step(cleanup, EMPTY, removed=18, remains=[], foreign=[])
        self.step(again, EMPTY, removed=0, remains=[])

    def step(self, step, there, **said):
        """What a command said last, and what there was then."""
        last, inventory = step
        self.assertIsInstance(last, dict, last)
        self.assertEqual({name: last[name] for name in said}, said)
        self.assertEqual(inventory, there)

    @unittest.skipIf(shutil.which("unshare") is None, "no unshare, and MiniStack binds every address")
    def test_a_fleet_is_set_up_and_removed_on_ministack(self):
        inside = [sys.executable, "-m", "conformance.test_emulators_setup", str((emulators.VENV / "bin" / "ministack").absolute())]
        command = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *inside]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=5 * BOUND)
        self.assertEqual(ran.returncode, 0, f"{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}")
        self.check(json.loads(ran.stdout.splitlines()[-1]))

    def test_a_fleet_is_set_up_and_removed_on_moto_but_for_its_templates(self):
        core = Core("--any-credentials", "--type-deletion-delay", "1ms", setup=False)
        self.addCleanup(core.stop)
        with Process([emulators.VENV / "bin" / "python", "-c", MOTO]) as server:
            line = server.line(lambda line: "Running on http://" in line, what="moto_server")
            beside = Beside("http" + line.partition("http")[2].strip(), core.environment()["AWS_ENDPOINT_URL"])
            self.addCleanup(beside.stop)
            self.check(run(beside.url))


def main(server):
    """With MiniStack, in a namespace where nobody else is."""
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "TMPDIR": directory, "PYTHONUNBUFFERED": "1"}
        with Process([server], env=environment, cwd=directory) as running:
            running.line(lambda line: "Running on http" in line, what="MiniStack")
            print(json.dumps(run("http://127.0.0.1:4566")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
