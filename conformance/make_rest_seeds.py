"""Writes the requests that REST fuzzing starts from, as botocore makes them:

    FLEETKEY_BIN=… python -m conformance.make_rest_seeds > crates/iotcore/tests/fixtures/rest-seeds.jsonl

Each operation that is served (and a few that are not) twice, with its required members and with all of them, and those that take more than
made-up values once more as they succeed; unsigned, because the fuzzer signs what it has changed. Names are few, so that
requests meet. The certificate id is a placeholder, which the fuzzer fills.
"""

import json
from pathlib import Path
from urllib.parse import urlencode

import botocore.session
from botocore.serialize import create_serializer

from conformance.aws import Account
from conformance.names import SERVICES
from conformance.test_rest_lambda import archive
from conformance.test_rest_templates import template

FIXTURES = Path(__file__).parents[1] / "crates" / "iotcore" / "tests" / "fixtures"
CERTIFICATE = "c" * 64
ACCOUNT = "arn:aws:iot:us-east-1:123456789012:"
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "iot:Publish", "Resource": f"{ACCOUNT}topic/${{iot:ClientId}}/*"}]})
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {
    "Service": ["iot.amazonaws.com", "lambda.amazonaws.com"], "AWS": "arn:aws:iam::123456789012:root"}}]})
TEMPLATE = template("p")
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
    "ServiceCode": "iotcore", "QuotaCode": "L-97DA2C60", "MaxResults": 5,
}
ROLE = "arn:aws:iam::123456789012:role/role"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
OWN_POLICY = "arn:aws:iam::123456789012:policy/p"
CODE = archive("def handler(event, context):\n    return event\n")
RULE = {"sql": "SELECT *, topic(1) AS t FROM 'a/+' WHERE b > 1", "awsIotSqlVersion": "2016-03-23",
        "actions": [{"republish": {"roleArn": ROLE, "topic": "out", "qos": 1}}, {"lambda": {"functionArn": FUNCTION}}]}
# What succeeds once the rest is there, where required members with made-up values do not; by boto3's name of the service.
GOOD = {
    "iot": [
        ("CreateTopicRule", {"ruleName": "r", "topicRulePayload": RULE}),
        ("ReplaceTopicRule", {"ruleName": "r", "topicRulePayload": RULE}),
        ("CreateCertificateFromCsr", {"certificateSigningRequest": (FIXTURES / "p256.csr.pem").read_text(), "setAsActive": True}),
        ("RegisterCertificateWithoutCA", {"certificatePem": (FIXTURES / "x509-v1.pem").read_text(), "status": "ACTIVE"}),
        ("TestAuthorization", {"principal": f"{ACCOUNT}cert/{CERTIFICATE}", "clientId": "t", "authInfos": [
            {"actionType": "PUBLISH", "resources": [f"{ACCOUNT}topic/t/a"]}]}),
        ("CreateThing", {"thingName": "t", "thingTypeName": "y", "attributePayload": {"attributes": {"a": "1"}, "merge": True}}),
        ("CreateThingGroup", {"thingGroupName": "h"}),
        ("CreateThingGroup", {"thingGroupName": "g", "parentGroupName": "h", "tags": [{"Key": "k", "Value": "v"}]}),
        ("CreateProvisioningTemplate", {
            "templateName": "v", "templateBody": TEMPLATE, "provisioningRoleArn": ROLE, "enabled": True,
            "preProvisioningHook": {"targetArn": FUNCTION}}),
        ("CreateThingType", {"thingTypeName": "y", "thingTypeProperties": {"searchableAttributes": ["a"]}}),
        ("UpdateThingType", {"thingTypeName": "y", "thingTypeProperties": {"mqtt5Configuration": {
            "propagatingAttributes": [{"userPropertyKey": "a", "thingAttribute": "a"}]}}}),
        ("AttachThingPrincipal", {"thingName": "t", "principal": f"{ACCOUNT}cert/{CERTIFICATE}",
                                  "thingPrincipalType": "EXCLUSIVE_THING"}),
        ("AttachPolicy", {"policyName": "p", "target": f"{ACCOUNT}thinggroup/g"}),
        ("CreatePolicy", {"policyName": "p", "policyDocument": POLICY}),
        ("AttachPolicy", {"policyName": "p", "target": f"{ACCOUNT}cert/{CERTIFICATE}"}),
        ("GetEffectivePolicies", {"principal": f"{ACCOUNT}cert/{CERTIFICATE}", "thingName": "t"}),
        ("UpdateCertificate", {"certificateId": CERTIFICATE, "newStatus": "ACTIVE"}),
        ("CreateProvisioningTemplateVersion", {"templateName": "v", "templateBody": TEMPLATE}),
        ("UpdateProvisioningTemplate", {"templateName": "v", "enabled": False}),
        ("UpdateThing", {"thingName": "t", "attributePayload": {"attributes": {"a": "2"}}}),
        ("AddThingToThingGroup", {"thingGroupName": "g", "thingName": "t"}),
        ("UpdateThingGroupsForThing", {"thingName": "t", "thingGroupsToAdd": ["h"], "thingGroupsToRemove": ["g"]}),
    ],
    "iot-data": [
        ("Publish", {"topic": "a/b", "payload": b'{"b": 2}', "qos": 1, "retain": True, "contentType": "x",
                     "userProperties": [{"k": "v"}], "correlationData": "YQ==", "messageExpiry": 5}),
    ],
    "iam": [
        ("CreateRole", {"RoleName": "role", "AssumeRolePolicyDocument": TRUST, "Tags": [{"Key": "k", "Value": "v"}]}),
        ("UpdateAssumeRolePolicy", {"RoleName": "role", "PolicyDocument": TRUST}),
        ("CreatePolicy", {"PolicyName": "p", "PolicyDocument": POLICY}),
        ("CreatePolicyVersion", {"PolicyArn": OWN_POLICY, "PolicyDocument": POLICY}),
        ("GetPolicyVersion", {"PolicyArn": OWN_POLICY, "VersionId": "v1"}),
        ("CreatePolicy", {"PolicyName": "q", "PolicyDocument": POLICY}),
        ("DeletePolicy", {"PolicyArn": OWN_POLICY.replace("/p", "/q")}),
        ("DeletePolicyVersion", {"PolicyArn": OWN_POLICY, "VersionId": "v3"}),
        ("CreateRole", {"RoleName": "other", "AssumeRolePolicyDocument": TRUST}),
        ("DeleteRole", {"RoleName": "other"}),
        ("SetDefaultPolicyVersion", {"PolicyArn": OWN_POLICY, "VersionId": "v2"}),
        ("DeletePolicyVersion", {"PolicyArn": OWN_POLICY, "VersionId": "v2"}),
        ("AttachRolePolicy", {"RoleName": "role", "PolicyArn": OWN_POLICY}),
        ("PutRolePolicy", {"RoleName": "role", "PolicyName": "p", "PolicyDocument": POLICY}),
        ("DetachRolePolicy", {"RoleName": "role", "PolicyArn": OWN_POLICY}),
        ("DeleteRolePolicy", {"RoleName": "role", "PolicyName": "p"}),
        ("DeletePolicy", {"PolicyArn": OWN_POLICY}),
    ],
    "lambda": [
        ("CreateFunction", {"FunctionName": "f", "Runtime": "python3.12", "Role": ROLE, "Handler": "hook.handler",
                            "Code": {"ZipFile": CODE}, "Tags": {"k": "v"}, "Environment": {"Variables": {"STAGE": "b"}}}),
        ("UpdateFunctionCode", {"FunctionName": "f", "ZipFile": CODE}),
        ("UpdateFunctionConfiguration", {"FunctionName": "f", "Timeout": 3, "Description": "d"}),
        ("AddPermission", {"FunctionName": "f", "StatementId": "s", "Action": "lambda:InvokeFunction",
                           "Principal": "iot.amazonaws.com", "SourceAccount": "123456789012"}),
        ("PublishVersion", {"FunctionName": "f", "Description": "d"}),
        ("Invoke", {"FunctionName": "f", "Payload": b'{"a": 1}', "LogType": "Tail"}),
        ("ListTags", {"Resource": FUNCTION}),
        ("TagResource", {"Resource": FUNCTION, "Tags": {"k": "v"}}),
        ("UntagResource", {"Resource": FUNCTION, "TagKeys": ["k"]}),
    ],
    "sts": [
        ("AssumeRole", {"RoleArn": ROLE, "RoleSessionName": "run", "DurationSeconds": 900}),
    ],
    "logs": [
        ("CreateLogGroup", {"logGroupName": "/aws/lambda/f", "tags": {"k": "v"}}),
        ("DescribeLogStreams", {"logGroupName": "/aws/lambda/f"}),
        ("FilterLogEvents", {"logGroupName": "/aws/lambda/f", "limit": 3}),
        # The day on which the fuzzed server begins.
        ("GetLogEvents", {"logGroupName": "/aws/lambda/f", "logStreamName": "2027/01/15/[$LATEST]local", "limit": 3}),
        ("PutRetentionPolicy", {"logGroupName": "/aws/lambda/f", "retentionInDays": 7}),
        ("TagResource", {"resourceArn": "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/f", "tags": {"k": "v"}}),
        ("ListTagsForResource", {"resourceArn": "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/f"}),
        ("UntagResource", {"resourceArn": "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/f", "tagKeys": ["k"]}),
    ],
}
# Of what is not served, a few.
MISSING = {"iot": ["CreateJob", "CreateCertificateProvider"], "logs": ["PutLogEvents"], "lambda": ["PublishLayerVersion"]}
# Never sent along: they would make the rest meaningless, or name what is not there.
LEFT_OUT = {"RevisionId", "CodeSha256", "SerialNumber", "marker", "nextToken", "Marker", "NextToken", "cognitoIdentityPoolId", "ImageUri", "S3Bucket", "S3Key"}


def main():
    session = botocore.session.get_session()
    for service, operations in served().items():
        model = session.get_service_model(service)
        serializer = create_serializer(model.metadata["protocol"], False)
        for name in operations:
            operation = model.operation_model(name)
            for every in [False, True]:
                print(seed(serializer, operation, structure(operation.input_shape, every, 0) if operation.input_shape else {}))
        for name, arguments in GOOD.get(service, []):
            print(seed(serializer, model.operation_model(name), arguments, good=True))


def served():
    """Names of operations by boto3's name of the service."""
    account = Account()
    try:
        reports = {SERVICES[name]: report["implemented"] for name, report in account.coverage().items()}
        return {name: sorted({*operations, *MISSING.get(name, [])}) for name, operations in reports.items()}
    finally:
        account.stop()


def seed(serializer, operation, arguments, good=False):
    """The request, as one line of JSON; `good` ones are those that make what the others are about."""
    made = serializer.serialize_to_request(arguments, operation)
    body, path, query = made["body"], made["url_path"], made.get("query_string")
    if isinstance(body, dict):
        body = urlencode(body)
    body = body if isinstance(body, bytes) else (body or "").encode()
    if isinstance(query, dict) and query:
        path += ("&" if "?" in path else "?") + urlencode(query, doseq=True)
    return json.dumps({
        "service": operation.service_model.signing_name, "name": operation.name, "method": made["method"], "target": path,
        "headers": {key: str(value) for key, value in made["headers"].items()}, "body": body.decode(),
        **({"good": True} if good else {}),
    }, sort_keys=True)


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
    main()
