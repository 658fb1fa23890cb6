#!/usr/bin/env bash
# The same fleet from nothing to nothing as new_user.py, with the AWS CLI v1, as a new user would type it.
#
# Knows nothing of fleetkey: `aws` reads AWS_ENDPOINT_URL and AWS's keys itself. What devices do is awsiotsdk
# (new_user_device.py). Files go into the current directory.
set -euo pipefail

readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly template=CertRotationTemplate

main() {
    account=$(aws sts get-caller-identity --query Account --output text)
    endpoint=$(aws iot describe-endpoint --endpoint-type iot:Data-ATS --query endpointAddress --output text)
    arn=arn:aws:iot:${AWS_REGION:-us-east-1}:$account
    set_up
    make_claim
    old=$(device provision meter-1 claim.pem claim.key first)
    if device provision gauge-1 claim.pem claim.key stranger 2>stranger.log; then fail "the hook let a stranger in"; fi
    echo "a stranger is refused: $(tail -1 stranger.log)"
    device talk meter-1 first.cert.pem first.key.pem
    new=$(device provision meter-1 first.cert.pem first.key.pem second meter-1)
    look
    aws iot update-certificate --certificate-id "$old" --new-status REVOKED
    device talk meter-1 second.cert.pem second.key.pem
    if device talk meter-1 first.cert.pem first.key.pem 2>revoked.log; then fail "the old certificate still works"; fi
    echo "the old certificate is refused: $(tail -1 revoked.log)"
    tear_down
    echo "done"
}

# --- what the operator makes ---

set_up() {
    write_documents
    aws iot create-policy --policy-name DevicePolicy --policy-document file://device.json >/dev/null
    aws iot create-policy --policy-name ClaimPolicy --policy-document file://claim.json >/dev/null
    aws iot create-thing-group --thing-group-name fleet-devices >/dev/null
    role=$(aws iam create-role --role-name ProvisioningRole --assume-role-policy-document file://trust-iot.json \
        --query Role.Arn --output text)
    aws iam attach-role-policy --role-name ProvisioningRole \
        --policy-arn arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration
    hook_role=$(aws iam create-role --role-name HookRole --assume-role-policy-document file://trust-lambda.json \
        --query Role.Arn --output text)
    python3 -m zipfile -c hook.zip lambda_function.py
    hook=$(aws lambda create-function --function-name hook --runtime python3.12 --handler lambda_function.handler \
        --role "$hook_role" --timeout 5 --zip-file fileb://hook.zip --query FunctionArn --output text)
    aws lambda wait function-active-v2 --function-name hook
    aws lambda add-permission --function-name hook --statement-id iot --action lambda:InvokeFunction \
        --principal iot.amazonaws.com --source-arn "$arn:provisioningtemplate/$template" >/dev/null
    aws iot create-provisioning-template --template-name "$template" --enabled --provisioning-role-arn "$role" \
        --template-body file://template.json --pre-provisioning-hook "targetArn=$hook,payloadVersion=2020-04-01" >/dev/null
}

make_claim() {
    claim=$(aws iot create-keys-and-certificate --set-as-active --certificate-pem-outfile claim.pem \
        --private-key-outfile claim.key --query certificateArn --output text)
    aws iot attach-policy --policy-name ClaimPolicy --target "$claim"
}

# Everything that was made is found by listing and describing.
look() {
    equal cellar "$(aws iot describe-thing --thing-name meter-1 --query attributes.location --output text)"
    equal 2 "$(aws iot list-thing-principals --thing-name meter-1 --page-size 1 --query 'length(principals)' --output json)"
    equal meter-1 "$(aws iot list-things-in-thing-group --thing-group-name fleet-devices --query things --output text)"
    equal DevicePolicy "$(aws iot list-attached-policies --target "$arn:cert/$new" --query 'policies[].policyName' --output text)"
    equal ACTIVE "$(aws iot describe-certificate --certificate-id "$new" --query certificateDescription.status --output text)"
    equal lambda_function.handler "$(aws lambda get-function --function-name hook --query Configuration.Handler --output text)"
    local printed
    printed=$(aws logs filter-log-events --log-group-name /aws/lambda/hook --query 'events[].message' --output text)
    [[ $printed == *"provisioning gauge-1 allowed: False"* ]] || fail "the hook's log says: $printed"
}

# The reverse, in the order that AWS wants.
tear_down() {
    aws iot delete-provisioning-template --template-name "$template"
    local certificate
    for certificate in "$old" "$new"; do
        aws iot detach-thing-principal --thing-name meter-1 --principal "$arn:cert/$certificate"
        delete_certificate "$certificate" DevicePolicy
    done
    aws iot delete-thing --thing-name meter-1
    delete_certificate "${claim##*/}" ClaimPolicy
    aws iot delete-policy --policy-name DevicePolicy
    aws iot delete-policy --policy-name ClaimPolicy
    aws iot delete-thing-group --thing-group-name fleet-devices
    aws lambda delete-function --function-name hook
    aws logs delete-log-group --log-group-name /aws/lambda/hook
    aws iam detach-role-policy --role-name ProvisioningRole \
        --policy-arn arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration
    aws iam delete-role --role-name ProvisioningRole
    aws iam delete-role --role-name HookRole
}

# delete_certificate ID POLICY
delete_certificate() {
    aws iot detach-policy --policy-name "$2" --target "$arn:cert/$1"
    local status
    status=$(aws iot describe-certificate --certificate-id "$1" --query certificateDescription.status --output text)
    [ "$status" != ACTIVE ] || aws iot update-certificate --certificate-id "$1" --new-status INACTIVE
    aws iot delete-certificate --certificate-id "$1"
}

# --- documents ---

write_documents() {
    local thing='${iot:Connection.Thing.ThingName}' own="\$aws/certificates/create/*" kind
    own_template="\$aws/provisioning-templates/$template/provision/*"
    cat >device.json <<END
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "iot:Connect", "Resource": "$arn:client/$thing"},
  {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"],
   "Resource": ["$arn:topic/device/$thing/*", "$arn:topic/$own", "$arn:topic/$own_template"]},
  {"Effect": "Allow", "Action": "iot:Subscribe",
   "Resource": ["$arn:topicfilter/device/$thing/*", "$arn:topicfilter/$own", "$arn:topicfilter/$own_template"]}]}
END
    cat >claim.json <<END
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"},
  {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": ["$arn:topic/$own", "$arn:topic/$own_template"]},
  {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": ["$arn:topicfilter/$own", "$arn:topicfilter/$own_template"]}]}
END
    for kind in iot lambda; do
        cat >trust-$kind.json <<END
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Principal": {"Service": "$kind.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
END
    done
    cat >template.json <<'END'
{"Parameters": {"SerialNumber": {"Type": "String"}, "Location": {"Type": "String", "Default": "unknown"},
                "AWS::IoT::Certificate::Id": {"Type": "String"}},
 "Resources": {
   "thing": {"Type": "AWS::IoT::Thing",
             "OverrideSettings": {"ThingGroups": "DO_NOTHING", "AttributePayload": "MERGE"},
             "Properties": {"ThingName": {"Ref": "SerialNumber"}, "ThingGroups": ["fleet-devices"],
                            "AttributePayload": {"location": {"Ref": "Location"}}}},
   "certificate": {"Type": "AWS::IoT::Certificate",
                   "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"}},
   "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "DevicePolicy"}}},
 "DeviceConfiguration": {"interval": "60"}}
END
    cat >lambda_function.py <<'END'
def handler(event, context):
    serial = event["parameters"]["SerialNumber"]
    known = serial.startswith("meter-")
    print("provisioning", serial, "allowed:", known)
    return {"allowProvisioning": known, "parameterOverrides": {"Location": "cellar"}}
END
}

# --- helpers ---

device() {
    python3 "$here/new_user_device.py" "$endpoint" "$@"
}

equal() {
    [ "$1" = "$2" ] || fail "wanted $1, found $2"
}

fail() {
    echo "new_user.sh: $*" >&2
    exit 1
}

main
