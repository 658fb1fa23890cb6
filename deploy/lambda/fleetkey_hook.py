"""Pre-provisioning hook of a fleetkey fleet: who may register a certificate for which thing.

AWS IoT calls `handler` on every RegisterThing and waits five seconds (Developer Guide, pre-provisioning-hook). It needs
nothing but the standard library and makes no call of its own, so there is nothing that could be throttled and nothing
that its role must be allowed. What it decides by stands beside it in `fleetkey_hook.json`:

    {"templates": {"CertRotationTemplate": "serials", "CertRotationTemplate-rotate": "own_thing",
                   "CertRotationTemplate-recover": "window"},
     "serials": ["PM500-*"],
     "windows": [{"serials": ["PM500-0007"], "until": 1795000000}]}

Everything that is not plainly allowed is denied: a template that is not listed, a serial that matches no pattern, a
configuration that cannot be read (the error is a denial too, and stands in the log).

The first two decisions are those of the local IoT Core's built-in hooks:

* `serials`: the serial number matches one of the patterns (`*` any run of characters, `?` any one character) and is
  short enough to leave room for `~verify` in a client id.
* `own_thing`: the caller's client id is the thing's live session or its agent. The device policy lets a certificate
  connect under those two only if it is attached to that thing, so the client id is the broker's word, not the device's.
* `window`: a recovery window names this very serial (no patterns) and its end, in seconds since 1970 by the clock of
  Lambda, is not reached. What is not a number ends nothing: it is no end, so the window is none.
"""

import json
import logging
import os
import string
import time

SERIAL = "SerialNumber"
LONGEST_SERIAL = 121
SERIAL_CHARACTERS = frozenset(string.ascii_letters + string.digits + ":_-")
CONFIGURATION = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fleetkey_hook.json")

log = logging.getLogger()
log.setLevel(logging.INFO)


def handler(event, _context):
    """Answers one RegisterThing."""
    with open(CONFIGURATION, encoding="utf-8") as file:
        configuration = json.load(file)
    allowed, reason = decide(event, configuration)
    # No certificate and no key: ids and names only.
    log.info(
        "%s %s: %s (template %s, client %s, caller %.8s)",
        "allowed" if allowed else "denied",
        json.dumps(serial_of(event)),
        reason,
        template_of(event),
        json.dumps(event.get("clientId")),
        event.get("claimCertificateId", ""),
    )
    return {"allowProvisioning": allowed}


def decide(event, configuration):
    """Whether the caller may go on, and why."""
    rule = configuration.get("templates", {}).get(template_of(event))
    serial = serial_of(event)
    if not is_serial(serial):
        return False, "no serial number"
    if rule == "serials":
        if any(matches(pattern, serial) for pattern in configuration.get("serials", [])):
            return True, "its serial is on the list"
        return False, "its serial is not on the list"
    if rule == "own_thing":
        if event.get("clientId") in (serial, serial + "~agent"):
            return True, "it asks for itself"
        return False, "it asks for another thing"
    if rule == "window":
        ends = [window.get("until") for window in configuration.get("windows", []) if serial in window.get("serials", [])]
        if not ends:
            return False, "no recovery window names it"
        if any(type(end) in (int, float) and time.time() < end for end in ends):
            return True, "a recovery window names it"
        return False, "its recovery window is over"
    return False, "no rule for this template"


def template_of(event):
    """The template's name: the last part of its ARN."""
    return str(event.get("templateArn", "")).rpartition("/")[2]


def serial_of(event):
    """The serial number that the device sent, or None."""
    parameters = event.get("parameters")
    return parameters.get(SERIAL) if isinstance(parameters, dict) else None


def is_serial(serial):
    """Whether this can be a thing's name with room for a role behind it."""
    return isinstance(serial, str) and 0 < len(serial) <= LONGEST_SERIAL and SERIAL_CHARACTERS.issuperset(serial)


def matches(pattern, text):
    """Whether `text` is what the pattern says; never exponential: only the last star is tried again."""
    at_pattern = at_text = 0
    star = retry = None
    while at_text < len(text):
        if at_pattern < len(pattern) and pattern[at_pattern] == "*":
            star, retry = at_pattern + 1, at_text
            at_pattern = star
        elif at_pattern < len(pattern) and pattern[at_pattern] in ("?", text[at_text]):
            at_pattern += 1
            at_text += 1
        elif star is not None:
            retry += 1
            at_pattern, at_text = star, retry
        else:
            return False
    return all(rest == "*" for rest in pattern[at_pattern:])
