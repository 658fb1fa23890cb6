"""Runs one invocation of a Python function: context and event on standard input, the answer on descriptor 3.

Standard library of any Python 3 only. The answer is one line: R or E, then JSON.

It is started isolated (-I), so that a module of the package that is called like one of these does not stand in for it;
the package and PYTHONPATH are looked at only after.
"""
import importlib
import json
import logging
import os
import sys
import time
import traceback


class Context:
    def __init__(self, values):
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.invoked_function_arn = values["arn"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.aws_request_id = values["request"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = None
        self.client_context = None
        self._deadline = values["deadline"]

    def get_remaining_time_in_millis(self):
        return max(0, int(self._deadline - time.time() * 1000))


class Refused(Exception):
    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def load(name):
    module_name, dot, function = name.rpartition(".")
    if not dot:
        raise Refused("Runtime.MalformedHandlerName", "Bad handler '%s': not enough values to unpack" % name)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Refused("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, error))
    except SyntaxError as error:
        message = "Syntax error in module '%s': %s" % (module_name, error)
        raise Refused("Runtime.UserCodeSyntaxError", message)
    handler = getattr(module, function, None)
    if handler is None:
        message = "Handler '%s' missing on module '%s'" % (function, module_name)
        raise Refused("Runtime.HandlerNotFound", message)
    return handler


def failure(error, request):
    kind = error.kind if isinstance(error, Refused) else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame[0] != "<string>"]
    trace = [] if isinstance(error, Refused) else traceback.format_list(own)
    return {"errorMessage": str(error), "errorType": kind, "requestId": request, "stackTrace": trace}


def log_as_lambda_does(request):
    """The root logger has a handler from the start, and takes warnings and worse until the function says otherwise."""
    form = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t" + request + "\t%(message)s"
    formatter = logging.Formatter(form, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)


def invoke(event_text, values):
    log_as_lambda_does(values["request"])
    own = [os.getcwd()] + [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = own
    handler = load(os.environ["_HANDLER"])
    result = handler(json.loads(event_text.decode("utf-8")), Context(values))
    try:
        return json.dumps(result)
    except Exception as error:
        raise Refused("Runtime.MarshalError", "Unable to marshal response: %s" % error)


def main():
    os.set_inheritable(3, False)
    first, _, event_text = sys.stdin.buffer.read().partition(b"\n")
    values = json.loads(first.decode("utf-8"))
    try:
        answer = "R" + invoke(event_text, values)
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(0 if end.code is None else end.code if isinstance(end.code, int) else 1)
    except BaseException as error:
        report = failure(error, values["request"])
        print("[ERROR] %s: %s" % (report["errorType"], report["errorMessage"]))
        print("".join(report["stackTrace"]), end="")
        answer = "E" + json.dumps(report)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    with os.fdopen(3, "wb") as channel:
        channel.write(answer.encode("utf-8") + b"\n")
    os._exit(0)


main()
