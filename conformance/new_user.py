"""A fleet from nothing to nothing, as a new user of boto3 and awsiotsdk would write it.

Knows nothing of fleetkey: it reads AWS_ENDPOINT_URL and AWS's keys as boto3 does, asks AWS IoT for the endpoint, and
takes port and root CA of the devices from FLEETKEY_MQTT_PORT and FLEETKEY_ROOT_CA, which on AWS are 8883 and Amazon's.
"""

import io
import json
import tempfile
import zipfile

import boto3

from new_user_device import Device

HOOK = """
def handler(event, context):
    serial = event["parameters"]["SerialNumber"]
    known = serial.startswith("meter-")
    print("provisioning", serial, "allowed:", known)
    return {"allowProvisioning": known, "parameterOverrides": {"Location": "cellar"}}
"""

iot, iam, lambda_, sts = (boto3.client(service) for service in ["iot", "iam", "lambda", "sts"])
account, region = sts.get_caller_identity()["Account"], iot.meta.region_name
endpoint = iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
arn = f"arn:aws:iot:{region}:{account}:"
device = Device(endpoint, tempfile.mkdtemp(prefix="new-user-", dir="."))


def main():
    set_up()
    claim_arn, claim = make_claim()
    old = device.provision("meter-1", claim, "meter-1-first")
    try:
        device.provision("gauge-1", claim, "gauge-1-first")
    except Exception as error:
        print("a stranger is refused:", type(error).__name__)
    else:
        raise SystemExit("the hook let a stranger in")
    device.talk("meter-1", old)
    new = device.rotate("meter-1", old, "meter-1-second")
    look("meter-1")
    revoke(old)
    device.talk("meter-1", new)
    try:
        device.talk("meter-1", old)
    except Exception as error:
        print("the old certificate is refused:", type(error).__name__)
    else:
        raise SystemExit("the old certificate still works")
    tear_down("meter-1", claim_arn)
    print("done")


# --- what the operator makes ---


def set_up():
    """Policies, role, function, group and template."""
    iot.create_policy(policyName="DevicePolicy", policyDocument=document(
        ("iot:Connect", [f"{arn}client/${{iot:Connection.Thing.ThingName}}"]),
        (["iot:Publish", "iot:Receive"], [
            f"{arn}topic/device/${{iot:Connection.Thing.ThingName}}/*", *provisioning("topic")]),
        ("iot:Subscribe", [f"{arn}topicfilter/device/${{iot:Connection.Thing.ThingName}}/*", *provisioning("topicfilter")])))
    iot.create_policy(policyName="ClaimPolicy", policyDocument=document(
        ("iot:Connect", ["*"]), (["iot:Publish", "iot:Receive"], provisioning("topic")),
        ("iot:Subscribe", provisioning("topicfilter"))))
    iot.create_thing_group(thingGroupName="fleet-devices")
    role = iam.create_role(RoleName="ProvisioningRole", AssumeRolePolicyDocument=trust("iot"))["Role"]["Arn"]
    iam.attach_role_policy(RoleName="ProvisioningRole",
                           PolicyArn="arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration")
    hook_role = iam.create_role(RoleName="HookRole", AssumeRolePolicyDocument=trust("lambda"))["Role"]["Arn"]
    iam.attach_role_policy(RoleName="HookRole",
                           PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
    hook = lambda_.create_function(
        FunctionName="hook", Runtime="python3.12", Handler="lambda_function.handler", Role=hook_role, Timeout=5,
        Code={"ZipFile": package()})["FunctionArn"]
    lambda_.get_waiter("function_active_v2").wait(FunctionName="hook")
    lambda_.add_permission(FunctionName="hook", StatementId="iot", Action="lambda:InvokeFunction",
                           Principal="iot.amazonaws.com", SourceArn=f"{arn}provisioningtemplate/CertRotationTemplate")
    iot.create_provisioning_template(
        templateName="CertRotationTemplate", enabled=True, provisioningRoleArn=role, templateBody=json.dumps(TEMPLATE),
        preProvisioningHook={"targetArn": hook, "payloadVersion": "2020-04-01"})
    try:
        iot.create_policy(policyName="DevicePolicy", policyDocument=document(("iot:Connect", ["*"])))
    except iot.exceptions.ResourceAlreadyExistsException:
        iot.create_policy_version(policyName="DevicePolicy", setAsDefault=False, policyDocument=document(("iot:Connect", ["*"])))


TEMPLATE = {
    "Parameters": {"SerialNumber": {"Type": "String"}, "Location": {"Type": "String", "Default": "unknown"},
                   "AWS::IoT::Certificate::Id": {"Type": "String"}},
    "Resources": {
        "thing": {
            "Type": "AWS::IoT::Thing",
            "OverrideSettings": {"ThingGroups": "DO_NOTHING", "AttributePayload": "MERGE"},
            "Properties": {"ThingName": {"Ref": "SerialNumber"}, "ThingGroups": ["fleet-devices"],
                           "AttributePayload": {"location": {"Ref": "Location"}}}},
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"}},
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "DevicePolicy"}},
    },
    "DeviceConfiguration": {"interval": "60"},
}


def make_claim():
    made = iot.create_keys_and_certificate(setAsActive=True)
    iot.attach_policy(policyName="ClaimPolicy", target=made["certificateArn"])
    return made["certificateArn"], device.save("claim", made["certificatePem"], made["keyPair"]["PrivateKey"])


def look(thing):
    """Everything that was made is found by listing and describing."""
    described = iot.describe_thing(thingName=thing)
    assert described["attributes"] == {"location": "cellar"}, described
    principals = [principal for page in iot.get_paginator("list_thing_principals").paginate(
        thingName=thing, PaginationConfig={"PageSize": 1}) for principal in page["principals"]]
    assert len(principals) == 2, principals
    assert iot.list_things_in_thing_group(thingGroupName="fleet-devices")["things"] == [thing]
    versions = iot.list_policy_versions(policyName="DevicePolicy")["policyVersions"]
    assert [version["versionId"] for version in versions if version["isDefaultVersion"]] == ["1"], versions
    for principal in principals:
        assert iot.list_attached_policies(target=principal)["policies"][0]["policyName"] == "DevicePolicy"
    template = iot.describe_provisioning_template(templateName="CertRotationTemplate")
    assert json.loads(template["templateBody"]) == TEMPLATE and template["enabled"]
    assert lambda_.get_function(FunctionName="hook")["Configuration"]["Handler"] == "lambda_function.handler"


def revoke(identity):
    certificate = identity["id"]
    iot.update_certificate(certificateId=certificate, newStatus="REVOKED")
    assert iot.describe_certificate(certificateId=certificate)["certificateDescription"]["status"] == "REVOKED"


def tear_down(thing, claim_arn):
    """The reverse, in the order that AWS wants."""
    iot.delete_provisioning_template(templateName="CertRotationTemplate")
    for principal in iot.list_thing_principals(thingName=thing)["principals"]:
        iot.detach_thing_principal(thingName=thing, principal=principal)
        delete_certificate(principal)
    iot.delete_thing(thingName=thing)
    delete_certificate(claim_arn)
    # The stranger's certificate was never registered; AWS deletes it when its token ends. Here nobody waits.
    for certificate in iot.list_certificates()["certificates"]:
        delete_certificate(certificate["certificateArn"])
    iot.delete_policy_version(policyName="DevicePolicy", policyVersionId="2")
    for name in ["DevicePolicy", "ClaimPolicy"]:
        iot.delete_policy(policyName=name)
    iot.delete_thing_group(thingGroupName="fleet-devices")
    lambda_.remove_permission(FunctionName="hook", StatementId="iot")
    lambda_.delete_function(FunctionName="hook")
    for role in ["ProvisioningRole", "HookRole"]:
        for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])
        iam.delete_role(RoleName=role)


def delete_certificate(principal):
    certificate = principal.rpartition("/")[2]
    if iot.describe_certificate(certificateId=certificate)["certificateDescription"]["status"] == "PENDING_ACTIVATION":
        return
    for policy in iot.list_attached_policies(target=principal)["policies"]:
        iot.detach_policy(policyName=policy["policyName"], target=principal)
    if iot.describe_certificate(certificateId=certificate)["certificateDescription"]["status"] == "ACTIVE":
        iot.update_certificate(certificateId=certificate, newStatus="INACTIVE")
    iot.delete_certificate(certificateId=certificate)


# --- helpers ---


def provisioning(kind):
    return [f"{arn}{kind}/$aws/certificates/create/*", f"{arn}{kind}/$aws/provisioning-templates/CertRotationTemplate/provision/*"]


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": action, "Resource": resources} for action, resources in statements]})


def trust(service):
    return json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}]})


def package():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("lambda_function.py", HOOK)
    return packed.getvalue()


if __name__ == "__main__":
    main()
