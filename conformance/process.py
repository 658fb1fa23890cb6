"""A child process whose output is waited on, line by line: tests wait for a line, never for a time.

Not a shell: arguments are lists, and the process is ended by its own id.
"""

import signal
import subprocess
import threading
import time

# Seconds that anything may take before a test gives up. Nothing here is slow; this is for a busy machine.
BOUND = 20


class Process:
    """Starts `arguments` and collects what it prints. Use it as a context manager."""

    def __init__(self, arguments, **popen):
        self._lines = []
        self._ended = False
        self._changed = threading.Condition()
        self._arguments = [str(argument) for argument in arguments]
        self._child = subprocess.Popen(
            self._arguments, stdout=subprocess.PIPE, text=True, errors="replace",
            **{"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT, **popen},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self._child.pid

    def lines(self):
        """What was printed so far."""
        with self._changed:
            return list(self._lines)

    def line(self, wanted, after=0, what="a line"):
        """The first line for which `wanted` holds, not counting the first `after` such lines.

        Raises AssertionError with the whole output when the process ends, or the bound passes, without it.
        """

        def found():
            matching = [line for line in self._lines if wanted(line)]
            return matching[after] if len(matching) > after else None

        with self._changed:
            self._changed.wait_for(lambda: found() is not None or self._ended, BOUND)
            line = found()
        if line is None:
            raise AssertionError(f"waited for {what}, saw:\n{self.transcript()}")
        return line

    def say(self, line):
        """Writes a line to its standard input, which was asked for as a pipe."""
        self._child.stdin.write(f"{line}\n")
        self._child.stdin.flush()

    def ends(self):
        """Waits for the process to end by itself; its exit code."""
        try:
            code = self._child.wait(BOUND)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end by itself:\n{self.transcript()}") from None
        self._reader.join(BOUND)
        return code

    def kill(self):
        """Ends it as a power cut would."""
        self._child.kill()
        return self.ends()

    def stop(self):
        """Asks it to end (Ctrl-C), insists if it does not; its exit code."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGINT)
        try:
            code = self._child.wait(BOUND)
        except subprocess.TimeoutExpired:
            self._child.kill()
            code = self._child.wait()
        self._reader.join(BOUND)
        self._child.stdout.close()
        if self._child.stdin:
            self._child.stdin.close()
        return code

    def transcript(self):
        """The command and what it printed, for a failure's message."""
        return "\n".join(["$ " + " ".join(self._arguments), *self.lines()])

    def _read(self):
        for line in self._child.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def waits(condition, what):
    """Waits until `condition` gives something true, and gives that."""
    deadline = time.monotonic() + 60
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited for {what}")
        time.sleep(0.05)
    return value
