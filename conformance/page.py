"""The tables of docs/local-iot-core.md: every operation that is served, and what each refuses with."""

import re
from pathlib import Path
from typing import NamedTuple

from conformance.names import SERVICES

PAGE = Path(__file__).parents[1] / "docs" / "local-iot-core.md"


class Row(NamedTuple):
    """A row of a table: the exceptions, and the note."""

    refusals: frozenset
    note: str


def operations():
    """Rows by boto3's name of the service and the operation's."""
    rows, service = {}, None
    for line in PAGE.read_text().splitlines():
        if line.startswith("#"):
            named = re.match(r"### .*`(\w+)`", line)
            service = SERVICES[named[1]] if named else None
        elif service and (row := re.match(r"\| `(\w+)` \|(.*)\|(.*)\|$", line)):
            rows[service, row[1]] = Row(frozenset(re.findall(r"`(\w+)`", row[2])), row[3].strip())
    return rows
