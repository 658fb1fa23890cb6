"""Writes the requests that REST fuzzing starts from, as botocore makes them:

    python -m conformance.make_rest_seeds > crates/iotcore/tests/fixtures/rest-seeds.jsonl

Each operation twice, with its required members and with all; unsigned, because the fuzzer signs what it has changed.
Names are few, so that requests meet. The certificate id is a placeholder, which the fuzzer fills.
"""

import json
import sys
from urllib.parse import urlencode

import botocore.session
from botocore.serialize import create_serializer

CERTIFICATE = "c" * 64
ACCOUNT = "arn:aws:iot:us-east-1:123456789012:"
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "iot:Publish", "Resource": f"{ACCOUNT}topic/${{iot:ClientId}}/*"}]})
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {
    "Service": ["iot.amazonaws.com", "lambda.amazonaws.com"], "AWS": "arn:aws:iam::123456789012:root"}}]})
TEMPLATE = json.dumps({"Parameters": {"S": {"Type": "String"}}, "Resources": {
    "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Fn::Join": ["", ["x", {"Ref": "S"}]]}}}}})
# What a member is, by its name; else it is made from its shape.
VALUES = {
    "policyDocument": POLICY, "PolicyDocument": POLICY, "AssumeRolePolicyDocument": TRUST, "templateBody": TEMPLATE,
    "policyName": "p", "PolicyName": "p", "policyVersionId": "1", "thingName": "t", "thingTypeName": "y",
    "thingGroupName": "g", "parentGroupName": "h", "parentGroup": "h", "templateName": "v", "ruleName": "r",
    "RoleName": "role", "FunctionName": "f", "certificateId": CERTIFICATE, "principal": f"{ACCOUNT}cert/{CERTIFICATE}",
    "target": f"{ACCOUNT}cert/{CERTIFICATE}", "resourceArn": f"{ACCOUNT}policy/p", "newStatus": "INACTIVE",
    "provisioningRoleArn": "arn:aws:iam::123456789012:role/role", "Role": "arn:aws:iam::123456789012:role/role",
    "roleArn": "arn:aws:iam::123456789012:role/role", "RoleArn": "arn:aws:iam::123456789012:role/role", "RoleSessionName": "run",
    "Qualifier": "1", "targetArn": "arn:aws:lambda:us-east-1:123456789012:function:f",
    "PolicyArn": "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole", "sql": "SELECT * FROM 'a/+' WHERE b > 1",
    "clientId": "t", "topic": "a/b", "Runtime": "python3.12", "Handler": "hook.handler", "logGroupName": "/aws/lambda/f",
    "resources": [f"{ACCOUNT}topic/a"], "Action": "lambda:InvokeFunction", "Principal": "iot.amazonaws.com",
    "StatementId": "s", "endpointType": "iot:Data-ATS", "retentionInDays": 7, "attributes": {"a": "1"},
    "thingGroupsToAdd": ["g"], "thingGroupsToRemove": ["h"], "tagKeys": ["k"], "type": "FLEET_PROVISIONING",
    "certificatePem": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    "certificateSigningRequest": "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n",
    "eventConfigurations": {"THING": {"Enabled": True}}, "clientToken": "c", "maxResults": 5, "pageSize": 5, "MaxItems": 5,
}
# Never sent along: they would make the rest meaningless, or name what is not there.
LEFT_OUT = {"RevisionId", "CodeSha256", "SerialNumber", "marker", "nextToken", "Marker", "NextToken", "cognitoIdentityPoolId", "ImageUri", "S3Bucket", "S3Key"}


def main(served):
    session = botocore.session.get_session()
    for service, operations in served.items():
        model = session.get_service_model(service)
        serializer = create_serializer(model.metadata["protocol"], False)
        for name in operations:
            operation = model.operation_model(name)
            for every in [False, True]:
                seed(serializer, model, operation, every)


def seed(serializer, model, operation, every):
    shape = operation.input_shape
    arguments = structure(shape, every, 0) if shape else {}
    made = serializer.serialize_to_request(arguments, operation)
    body = made["body"]
    if isinstance(body, dict):
        body = urlencode(body)
    body = body if isinstance(body, bytes) else (body or "").encode()
    query = urlencode({**made.get("query_string", {})} if isinstance(made.get("query_string"), dict) else {}, doseq=True)
    print(json.dumps({
        "service": model.metadata.get("signingName", model.metadata["endpointPrefix"]), "name": operation.name,
        "method": made["method"], "target": made["url_path"] + ("?" if query and "?" not in made["url_path"] else "&" if query else "") + query,
        "headers": {key: str(value) for key, value in made["headers"].items()}, "body": body.decode(),
    }, sort_keys=True))


def structure(shape, every, depth):
    names = shape.members if every and depth < 3 else shape.required_members
    return {name: value(name, shape.members[name], every, depth) for name in names if name not in LEFT_OUT}


def value(name, shape, every, depth):
    if name in VALUES and isinstance(VALUES[name], {"structure": dict, "map": dict, "list": list, "integer": int}.get(shape.type_name, str)):
        return VALUES[name]
    match shape.type_name:
        case "structure":
            return structure(shape, every, depth + 1)
        case "list":
            return [value(name, shape.member, every, depth + 1)]
        case "map":
            return {"k": value("", shape.value, every, depth + 1)}
        case "boolean":
            return every
        case "integer" | "long" | "float" | "double":
            return 1
        case "timestamp":
            return 1_700_000_000
        case "blob":
            return b"{}"
        case _:
            return shape.enum[0] if getattr(shape, "enum", None) else "x"


if __name__ == "__main__":
    main(json.load(sys.stdin))
