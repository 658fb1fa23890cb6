"""The hook's decisions. Run with: python3 -m unittest discover deploy/lambda"""

import json
import os
import tempfile
import time
import unittest
import unittest.mock

import fleetkey_hook as hook

CONFIGURATION = {
    "templates": {"T": "serials", "T-rotate": "own_thing", "T-recover": "window"},
    "serials": ["PM500-*", "A1"],
    "windows": [{"serials": ["R1", "R2"], "until": 2000}, {"serials": ["R2", "R*"], "until": 3000}],
}


def event(template="T", serial="A1", client="claim~1", **more):
    return {
        "claimCertificateId": "c" * 64,
        "certificateId": "d" * 64,
        "certificatePem": "-----BEGIN CERTIFICATE-----",
        "templateArn": "arn:aws:iot:us-east-1:123456789012:provisioningtemplate/" + template,
        "clientId": client,
        "parameters": {"SerialNumber": serial},
        **more,
    }


def allowed(*args, **kwargs):
    return hook.decide(event(*args, **kwargs), CONFIGURATION)[0]


class Serials(unittest.TestCase):
    def test_only_listed_serials_are_allowed(self):
        self.assertTrue(allowed(serial="A1"))
        self.assertTrue(allowed(serial="PM500-0001"))
        self.assertFalse(allowed(serial="A12"))
        self.assertFalse(allowed(serial="PM501-1"))

    def test_what_can_be_no_things_name_is_denied_whatever_the_patterns_say(self):
        everything = {**CONFIGURATION, "serials": ["*"]}
        for serial in ["", None, 7, ["A1"], "a/b", "a~agent", "ä", "x" * 122, "a\n"]:
            self.assertFalse(hook.decide(event(serial=serial), everything)[0], serial)
        self.assertTrue(hook.decide(event(serial="x" * 121), everything)[0])

    def test_no_parameters_are_a_denial(self):
        for parameters in [None, {}, [], "SerialNumber"]:
            self.assertFalse(hook.decide(event() | {"parameters": parameters}, CONFIGURATION)[0])


class OwnThing(unittest.TestCase):
    def test_a_device_rotates_itself_alone(self):
        self.assertTrue(allowed("T-rotate", "d1", "d1"))
        self.assertTrue(allowed("T-rotate", "d1", "d1~agent"))
        for client in ["d2", "d1~verify", "claim~d1", "", None]:
            self.assertFalse(allowed("T-rotate", "d1", client), client)


class Windows(unittest.TestCase):
    def at(self, seconds, serial, configuration=CONFIGURATION):
        with unittest.mock.patch.object(hook.time, "time", return_value=seconds):
            return hook.decide(event("T-recover", serial), configuration)

    def test_only_the_serials_that_a_window_names_may_recover(self):
        self.assertTrue(self.at(1999, "R1")[0])
        for serial in ["R3", "A1", "PM500-1", "", None]:
            self.assertFalse(self.at(1999, serial)[0], serial)

    def test_a_window_ends(self):
        self.assertFalse(self.at(2000, "R1")[0])
        self.assertIn("over", self.at(2000, "R1")[1])
        self.assertTrue(self.at(2999.9, "R2")[0], "the later of two counts")
        self.assertFalse(self.at(3000, "R2")[0])

    def test_without_a_window_or_an_end_nobody_recovers(self):
        closed = {**CONFIGURATION, "windows": []}
        self.assertFalse(self.at(0, "R1", closed)[0])
        self.assertFalse(self.at(0, "R1", {"templates": CONFIGURATION["templates"]})[0])
        for until in [None, "9999999999", True, {}]:
            endless = {**CONFIGURATION, "windows": [{"serials": ["R1"], "until": until}]}
            self.assertFalse(self.at(0, "R1", endless)[0], until)


class Templates(unittest.TestCase):
    def test_a_template_without_a_rule_is_denied(self):
        self.assertFalse(allowed("other"))
        self.assertFalse(hook.decide(event(), {})[0])
        self.assertFalse(hook.decide({}, CONFIGURATION)[0])


class Patterns(unittest.TestCase):
    def test_patterns_match_as_people_expect(self):
        table = [
            ("A1", "A1", True),
            ("A1", "A12", False),
            ("PM500-*", "PM500-0001", True),
            ("PM500-*", "PM500-", True),
            ("PM500-*", "PM501-1", False),
            ("*-??", "a-b-12", True),
            ("*-??", "a-b-123", False),
            ("*", "", True),
            ("", "", True),
            ("", "a", False),
            ("?", "", False),
            ("a*b*c", "axxbyybzzc", True),
            ("a*b*c", "axxbyybzz", False),
        ]
        for pattern, text, expected in table:
            self.assertEqual(hook.matches(pattern, text), expected, (pattern, text))

    def test_a_hostile_pattern_takes_no_time(self):
        begun = time.monotonic()
        self.assertFalse(hook.matches("*a" * 60 + "b", "a" * 121))
        self.assertLess(time.monotonic() - begun, 1.0)


class Handler(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.addCleanup(setattr, hook, "CONFIGURATION", hook.CONFIGURATION)
        hook.CONFIGURATION = os.path.join(directory.name, "fleetkey_hook.json")

    def configure(self, text):
        with open(hook.CONFIGURATION, "w", encoding="utf-8") as file:
            file.write(text)

    def test_it_answers_in_the_form_that_aws_reads(self):
        self.configure(json.dumps(CONFIGURATION))
        self.assertEqual(hook.handler(event(), None), {"allowProvisioning": True})
        self.assertEqual(hook.handler(event(serial="no"), None), {"allowProvisioning": False})

    def test_it_logs_ids_and_no_certificate(self):
        self.configure(json.dumps(CONFIGURATION))
        with self.assertLogs(level="INFO") as logs:
            hook.handler(event(serial="a\nb"), None)
        self.assertIn("denied", logs.output[0])
        self.assertNotIn("BEGIN", logs.output[0])
        self.assertNotIn("\nb", logs.output[0])

    def test_a_configuration_that_cannot_be_read_is_an_error_and_so_a_denial(self):
        with self.assertRaises(OSError):
            hook.handler(event(), None)
        self.configure("{")
        with self.assertRaises(ValueError):
            hook.handler(event(), None)


if __name__ == "__main__":
    unittest.main()
