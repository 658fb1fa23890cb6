"""Makes the test vectors of Signature Version 4: requests as botocore signs them, at a moment that stands still.

    python conformance/make_signatures.py > crates/iotcore/tests/fixtures/sigv4.json

Some are what boto3's clients send, caught before they leave; the rest are made by botocore's signers directly, where a
client would never send such a path or query. Needs botocore 1.44 or later; its version is in the output.
"""

import contextlib
import datetime
import json
import sys
from unittest import mock

import botocore
import botocore.session
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.credentials import Credentials

try:
    import awscrt
except ImportError:
    awscrt = None

NOW = datetime.datetime(2026, 11, 21, 8, 0, 0)
KEY, SECRET, TOKEN = "AKIAFLEETKEYVECTOR2A", "vector/secret+of/the/tests0123456789ABCD", "token//of+the=tests"
HOST = "127.0.0.1:4566"
REGION = "us-east-1"


def main():
    vectors = []
    with contextlib.ExitStack() as stack:
        # With awscrt installed, clients sign by its native code: another implementation of the same.
        for module in ("botocore.auth", "botocore.crt.auth") if awscrt else ("botocore.auth",):
            stack.enter_context(mock.patch(f"{module}.get_current_datetime", now))
        from_clients(vectors)
        from_signers(vectors)
    json.dump({"made_by": f"botocore {botocore.__version__}" + (f", awscrt {awscrt.__version__}" if awscrt else ""), "access_key": KEY, "secret": SECRET,
               "region": REGION, "vectors": vectors}, sys.stdout, indent=1, ensure_ascii=True)
    print()


def now(remove_tzinfo=True):
    return NOW if remove_tzinfo else NOW.replace(tzinfo=datetime.timezone.utc)


def add(vectors, name, service, request, token=None):
    """Notes a request that is ready to be sent."""
    target = request.url.split(HOST, 1)[1] or "/"
    if target.startswith("?"):
        target = "/" + target
    body = request.body or b""
    if hasattr(body, "read"):
        body = body.read()
    if isinstance(body, str):
        body = body.encode()
    text = lambda value: value.decode() if isinstance(value, bytes) else str(value)
    headers = {text(key).lower(): text(value) for key, value in request.headers.items()}
    headers.setdefault("host", HOST)
    # Not signed, and different on every machine.
    for unsigned in ("user-agent", "amz-sdk-invocation-id", "amz-sdk-request"):
        headers.pop(unsigned, None)
    vectors.append({"name": name, "service": service, "method": request.method, "target": target,
                    "headers": headers, "body": body.decode(), "token": token,
                    "now": int(NOW.replace(tzinfo=datetime.timezone.utc).timestamp())})


def from_clients(vectors):
    session = botocore.session.get_session()

    def call(service, signing, operation, token=None, **arguments):
        session.set_credentials(KEY, SECRET, token)
        client = session.create_client(service, region_name=REGION, endpoint_url=f"http://{HOST}")

        def catch(request, **_):
            add(vectors, f"{service} {operation}", signing, request, token)
            return AWSResponse(request.url, 200, {}, mock.Mock(stream=lambda *a, **k: iter([b"{}"])))

        client.meta.events.register("before-send", catch)
        try:
            getattr(client, operation)(**arguments)
        except Exception:  # the empty answer is no answer to some operations
            pass

    call("iot", "iot", "describe_thing", thingName="sensor:1")
    call("iot", "iot", "create_policy", policyName="a", policyDocument='{"Version":"2012-10-17"}')
    call("iot", "iot", "list_things", attributeName="a b", attributeValue="c/d&e=f", maxResults=5)
    call("iot", "iot", "attach_policy", policyName="a=b,c.d@e-f",
         target="arn:aws:iot:us-east-1:123456789012:cert/ab")
    call("iot", "iot", "list_tags_for_resource",
         resourceArn="arn:aws:iot:us-east-1:123456789012:thinggroup/ä b")
    call("iot", "iot", "list_things", TOKEN)
    call("iot-data", "iotdata", "publish", topic="a/b c/\u00fc\u4e2d/+", qos=1, payload=b"\x00not json\x7f",
         userProperties='[{"a":"b"}]')
    call("iot-data", "iotdata", "publish", topic="//", payload=b"")
    call("iot-data", "iotdata", "get_retained_message", topic="$aws/x~y")
    call("iam", "iam", "create_role", RoleName="r", AssumeRolePolicyDocument='{"a": "b c+d%"}',
         Tags=[{"Key": "k", "Value": ""}])
    call("sts", "sts", "get_caller_identity")
    call("lambda", "lambda", "invoke", FunctionName="arn:aws:lambda:us-east-1:123456789012:function:f",
         Payload=b'{"a":1}')
    call("lambda", "lambda", "list_functions")
    call("logs", "logs", "create_log_group", logGroupName="/aws/lambda/x")


def from_signers(vectors):
    def header(name, service, method, target, headers=None, body=b"", token=None):
        request = AWSRequest(method=method, url=f"http://{HOST}{target}", headers=headers or {}, data=body)
        SigV4Auth(Credentials(KEY, SECRET, token), service, REGION).add_auth(request)
        add(vectors, name, service, request.prepare(), token)

    def presigned(name, service, method, target, expires, token=None):
        request = AWSRequest(method=method, url=f"http://{HOST}{target}")
        SigV4QueryAuth(Credentials(KEY, SECRET, token), service, REGION, expires).add_auth(request)
        add(vectors, name, service, request.prepare(), token)

    header("an encoded slash and blank", "iot", "GET", "/things/a%2Fb%20c")
    header("empty segments", "iot", "GET", "//things//a/")
    header("dot segments", "iot", "GET", "/a/./b/../things/x")
    header("only a slash", "iot", "GET", "/")
    header("unicode, encoded", "iot", "GET", "/things/%C3%BC%E4%B8%AD")
    header("a tilde and other unreserved characters", "iot", "GET", "/things/a~b-c._d")
    header("characters that need no encoding in a path", "iot", "GET", "/things/a:b@c!$&'()*+,;=d")
    header("empty values and no values", "iot", "GET", "/things?a=&b=&c=1")
    header("repeated names are sorted by value", "iot", "GET", "/things?b=2&a=z&b=10&a=b&aa=1&A=1")
    header("an encoded query", "iot", "GET", "/things?k=a%20b%2Fc%3D%26&%C3%BC=%E4%B8%AD")
    header("blanks in headers", "iot", "GET", "/things", {"X-Amz-Meta": "  a   b  c ", "X-Other": "d"})
    header("a body", "iot", "POST", "/things/a", {"Content-Type": "application/json"}, b'{"a":"\xc3\xbc"}')
    header("an unsigned body", "iot", "POST", "/things/a", {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}, b"x")
    header("the device gateway", "iotdevicegateway", "GET", "/mqtt")
    header("a session token", "iot", "GET", "/things", token=TOKEN)
    presigned("presigned", "iot", "GET", "/things/a%2Fb?maxResults=1", 3600)
    presigned("presigned with a session token", "sts", "GET", "/?Action=GetCallerIdentity&Version=2011-06-15",
              604800, TOKEN)
    presigned("presigned for a second", "iot", "GET", "/endpoint", 1)


if __name__ == "__main__":
    main()
