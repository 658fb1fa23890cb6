//! IAM and STS over the Query protocol.

use crate::support::zip::role;
use crate::support::{Answer, Request, World};

const THINGS: &str = "arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2Fservice-role%2FAWSIoTThingsRegistration";
const LOGS: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C\
                    %22Action%22%3A%22logs%3A%2A%22%2C%22Resource%22%3A%22%2A%22%7D%5D%7D";

async fn iam(world: &World, form: &str) -> Answer {
    world.call("iam", Request::form(form)).await
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    assert!(text.contains(&format!("<Code>{code}</Code>")), "{text}");
}

/// A role is made, described with its trust policy percent-encoded, given policies, and deleted only without them.
#[tokio::test]
async fn a_role_is_made_given_policies_and_deleted_when_it_has_none() {
    let world = World::start().await;
    let made = iam(&world, &role("Provisioning", "iot.amazonaws.com")).await.ok().text();
    assert!(made.contains("<Arn>arn:aws:iam::123456789012:role/Provisioning</Arn>"), "{made}");
    assert!(made.contains("<AssumeRolePolicyDocument>%7B%22Statement%22"), "{made}");
    assert!(made.contains("<CreateDate>2027-01-15T08:00:00Z</CreateDate>"), "{made}");
    refused(&iam(&world, &role("Provisioning", "iot.amazonaws.com")).await, 409, "EntityAlreadyExists");
    let attach = format!("RoleName=Provisioning&PolicyArn={THINGS}");
    iam(&world, &format!("Action=AttachRolePolicy&{attach}")).await.ok();
    let put = format!("Action=PutRolePolicy&RoleName=Provisioning&PolicyName=logs&PolicyDocument={LOGS}");
    iam(&world, &put).await.ok();
    let attached = iam(&world, "Action=ListAttachedRolePolicies&RoleName=Provisioning").await.ok().text();
    assert!(attached.contains("<PolicyName>AWSIoTThingsRegistration</PolicyName>"), "{attached}");
    let inline = iam(&world, "Action=ListRolePolicies&RoleName=Provisioning").await.ok().text();
    assert!(inline.contains("<PolicyNames><member>logs</member></PolicyNames>"), "{inline}");
    let policy = "Action=GetRolePolicy&RoleName=Provisioning&PolicyName=logs";
    assert!(iam(&world, policy).await.ok().text().contains("<PolicyDocument>%7B%22Version%22"));
    refused(&iam(&world, "Action=DeleteRole&RoleName=Provisioning").await, 409, "DeleteConflict");
    iam(&world, &format!("Action=DetachRolePolicy&{attach}")).await.ok();
    iam(&world, "Action=DeleteRolePolicy&RoleName=Provisioning&PolicyName=logs").await.ok();
    iam(&world, "Action=ListInstanceProfilesForRole&RoleName=Provisioning").await.ok();
    iam(&world, "Action=DeleteRole&RoleName=Provisioning").await.ok();
    refused(&iam(&world, "Action=GetRole&RoleName=Provisioning").await, 404, "NoSuchEntity");
}

/// Lists of IAM come in pages, with a marker as long as there is more.
#[tokio::test]
async fn roles_are_listed_in_pages() {
    let world = World::start().await;
    for name in ["a", "b", "c"] {
        iam(&world, &role(name, "iot.amazonaws.com")).await.ok();
    }
    let first = iam(&world, "Action=ListRoles&MaxItems=2").await.ok().text();
    assert!(
        first.contains("<IsTruncated>true</IsTruncated>") && !first.contains("<RoleName>c</RoleName>"),
        "{first}"
    );
    let marker = first.split("<Marker>").nth(1).unwrap().split('<').next().unwrap();
    let second = iam(&world, &format!("Action=ListRoles&MaxItems=2&Marker={marker}")).await.ok().text();
    assert!(
        second.contains("<IsTruncated>false</IsTruncated>") && second.contains("<RoleName>c</RoleName>"),
        "{second}"
    );
    refused(&iam(&world, "Action=ListRoles&Marker=other").await, 400, "ValidationError");
}

/// A policy of the account has versions; one that is on a role is not deleted.
#[tokio::test]
async fn a_policy_of_the_account_has_versions_and_holders() {
    let world = World::start().await;
    iam(&world, &role("Hook", "lambda.amazonaws.com")).await.ok();
    iam(&world, &format!("Action=CreatePolicy&PolicyName=Logs&PolicyDocument={LOGS}")).await.ok();
    let arn = "PolicyArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Apolicy%2FLogs";
    let version = format!("Action=CreatePolicyVersion&{arn}&PolicyDocument={LOGS}&SetAsDefault=true");
    assert!(iam(&world, &version).await.ok().text().contains("<VersionId>v2</VersionId>"));
    let document = iam(&world, &format!("Action=GetPolicyVersion&{arn}&VersionId=v1")).await.ok().text();
    assert!(document.contains("<IsDefaultVersion>false</IsDefaultVersion>"), "{document}");
    iam(&world, &format!("Action=DeletePolicyVersion&{arn}&VersionId=v1")).await.ok();
    iam(&world, &format!("Action=AttachRolePolicy&RoleName=Hook&{arn}")).await.ok();
    let described = iam(&world, &format!("Action=GetPolicy&{arn}")).await.ok().text();
    assert!(described.contains("<AttachmentCount>1</AttachmentCount>"), "{described}");
    let holders = iam(&world, &format!("Action=ListEntitiesForPolicy&{arn}")).await.ok().text();
    assert!(holders.contains("<RoleName>Hook</RoleName>"), "{holders}");
    refused(&iam(&world, &format!("Action=DeletePolicy&{arn}")).await, 409, "DeleteConflict");
    let malformed = "Action=CreatePolicy&PolicyName=Other&PolicyDocument=%7B%7D";
    refused(&iam(&world, malformed).await, 400, "MalformedPolicyDocument");
}

/// Tags of a role travel as a list of pairs.
#[tokio::test]
async fn a_role_is_tagged() {
    let world = World::start().await;
    iam(
        &world,
        &format!("{}&Tags.member.1.Key=a&Tags.member.1.Value=1", role("Hook", "lambda.amazonaws.com")),
    )
    .await
    .ok();
    iam(&world, "Action=TagRole&RoleName=Hook&Tags.member.1.Key=b&Tags.member.1.Value=2").await.ok();
    iam(&world, "Action=UntagRole&RoleName=Hook&TagKeys.member.1=a").await.ok();
    let tags = iam(&world, "Action=ListRoleTags&RoleName=Hook").await.ok().text();
    assert!(tags.contains("<Tags><member><Key>b</Key><Value>2</Value></member></Tags>"), "{tags}");
    let updated = iam(&world, "Action=UpdateRole&RoleName=Hook&Description=hooks").await.ok().text();
    assert!(updated.contains("<UpdateRoleResult>"), "{updated}");
    let described = iam(&world, "Action=GetRole&RoleName=Hook").await.ok().text();
    assert!(described.contains("<Description>hooks</Description>"), "{described}");
}

/// The caller is the owner of the account.
#[tokio::test]
async fn the_caller_is_told_who_it_is() {
    let world = World::start().await;
    let identity =
        world.call("sts", Request::form("Action=GetCallerIdentity&Version=2011-06-15")).await.ok().text();
    assert!(identity.contains("<Account>123456789012</Account>"), "{identity}");
    let user = iam(&world, "Action=GetUser").await.ok().text();
    assert!(
        user.contains("<UserName>fleetkey</UserName>") && user.contains(":user/fleetkey</Arn>"),
        "{user}"
    );
}
