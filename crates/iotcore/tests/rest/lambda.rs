//! Lambda and CloudWatch Logs, with functions that really run.

use serde_json::{Value, json};

use crate::support::zip::{python, role, zipped};
use crate::support::{Answer, Request, World};

pub(crate) const FUNCTIONS: &str = "/2015-03-31/functions";

pub(crate) async fn lambda(world: &World, method: &str, path: &str, body: Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    world.call("lambda", Request::new(method, path).body(body)).await
}

async fn logs(world: &World, operation: &str, body: Value) -> Answer {
    let request = Request::new("POST", "/").body(body.to_string());
    let request = request.header("content-type", "application/x-amz-json-1.1");
    world.call("logs", request.header("x-amz-target", &format!("Logs_20140328.{operation}"))).await
}

/// A world with a function `hook` of this code.
pub(crate) async fn with_function(code: &str) -> World {
    let world = World::start().await;
    world.call("iam", Request::form(&role("Hook", "lambda.amazonaws.com"))).await.ok();
    let made = lambda(&world, "POST", FUNCTIONS, python("hook", code)).await.ok();
    assert_eq!(made.status, 201);
    world
}

/// A function is made, invoked, changed, and deleted; each answer carries its configuration.
#[tokio::test]
async fn a_function_is_made_invoked_changed_and_deleted() {
    let world =
        with_function("def handler(event, context):\n    print('hello')\n    return event['n'] + 1\n").await;
    let found = lambda(&world, "GET", &format!("{FUNCTIONS}/hook"), Value::Null).await.ok().json();
    let configuration = &found["Configuration"];
    assert_eq!(configuration["FunctionArn"], "arn:aws:lambda:us-east-1:123456789012:function:hook");
    assert_eq!(
        (&configuration["State"], &configuration["LastUpdateStatus"]),
        (&json!("Active"), &json!("Successful"))
    );
    let invocations = format!("{FUNCTIONS}/hook/invocations");
    let request = Request::new("POST", &invocations).header("x-amz-log-type", "Tail").body(r#"{"n": 1}"#);
    let answer = world.call("lambda", request).await.ok();
    assert_eq!((answer.text().as_str(), answer.header("x-amz-function-error")), ("2", None));
    assert_eq!(answer.header("x-amz-executed-version"), Some("$LATEST"));
    assert!(answer.header("x-amz-log-result").unwrap().len() > 100);
    let code = json!({"ZipFile": zipped("lambda_function.py", "def handler(event, context):\n    raise ValueError('no')\n")});
    let changed = lambda(&world, "PUT", &format!("{FUNCTIONS}/hook/code"), code).await.ok().json();
    assert_ne!(changed["CodeSha256"], configuration["CodeSha256"]);
    let failed = lambda(&world, "POST", &invocations, json!({})).await.ok();
    assert_eq!((failed.status, failed.header("x-amz-function-error")), (200, Some("Unhandled")));
    assert_eq!(failed.json()["errorType"], "ValueError");
    let change = json!({"Timeout": 5, "Environment": {"Variables": {"LEVEL": "debug"}}});
    let changed = lambda(&world, "PUT", &format!("{FUNCTIONS}/hook/configuration"), change).await.ok().json();
    assert_eq!(
        (&changed["Timeout"], &changed["Environment"]["Variables"]["LEVEL"]),
        (&json!(5), &json!("debug"))
    );
    assert_eq!(lambda(&world, "DELETE", &format!("{FUNCTIONS}/hook"), Value::Null).await.ok().status, 204);
    let gone = lambda(&world, "GET", &format!("{FUNCTIONS}/hook"), Value::Null).await;
    assert_eq!((gone.status, gone.error()), (404, "ResourceNotFoundException"));
}

/// What functions have not here is refused where it is meant, and not where clients send it empty.
#[tokio::test]
async fn layers_networks_file_systems_and_images_are_refused() {
    let world = with_function("").await;
    let configuration = format!("{FUNCTIONS}/hook/configuration");
    for (member, meant, empty) in [
        ("Layers", json!(["arn:aws:lambda:us-east-1:123456789012:layer:l:1"]), json!([])),
        ("VpcConfig", json!({"SubnetIds": ["s"]}), json!({"SubnetIds": [], "SecurityGroupIds": []})),
        ("FileSystemConfigs", json!([{"Arn": "a", "LocalMountPath": "/mnt/a"}]), json!([])),
        ("ImageConfig", json!({"Command": ["c"]}), json!({})),
    ] {
        let mut new = python("other", "");
        new[member] = meant.clone();
        let made = lambda(&world, "POST", FUNCTIONS, new).await;
        let changed = lambda(&world, "PUT", &configuration, json!({member: meant})).await;
        for answer in [made, changed] {
            assert_eq!((answer.status, answer.error()), (400, "InvalidParameterValueException"), "{member}");
            assert!(answer.text().contains(member), "{}", answer.text());
        }
        lambda(&world, "PUT", &configuration, json!({member: empty})).await.ok();
    }
}

/// An invocation that nobody waits for is accepted, and a dry run runs nothing.
#[tokio::test]
async fn an_event_is_accepted_and_a_dry_run_runs_nothing() {
    let world = with_function("def handler(event, context):\n    print('ran', event)\n").await;
    let invoke = |kind: &str| {
        let request = Request::new("POST", &format!("{FUNCTIONS}/hook/invocations"));
        request.header("x-amz-invocation-type", kind).body(format!("\"{kind}\""))
    };
    assert_eq!(world.call("lambda", invoke("DryRun")).await.status, 204);
    assert_eq!(world.call("lambda", invoke("Event")).await.status, 202);
    assert_eq!(world.call("lambda", invoke("Later")).await.error(), "ValidationException");
    let printed = async {
        loop {
            let group = json!({"logGroupName": "/aws/lambda/hook", "filterPattern": "ran"});
            let found = logs(&world, "FilterLogEvents", group).await;
            if found.status == 200 && !found.json()["events"].as_array().unwrap().is_empty() {
                return found.json();
            }
        }
    };
    let printed = tokio::time::timeout(crate::support::PATIENCE, printed).await.unwrap();
    assert_eq!(printed["events"].as_array().unwrap().len(), 1);
    assert_eq!(printed["events"][0]["message"], "ran Event");
}

/// A statement of the resource policy has an id of its own; the policy is told as one JSON text.
#[tokio::test]
async fn a_resource_policy_grows_and_shrinks_by_statements() {
    let world = with_function("").await;
    let policy = format!("{FUNCTIONS}/hook/policy");
    let add = json!({"StatementId": "iot", "Action": "lambda:InvokeFunction", "Principal": "iot.amazonaws.com",
        "SourceArn": "arn:aws:iot:us-east-1:123456789012:provisioningtemplate/Claim"});
    let added = lambda(&world, "POST", &policy, add.clone()).await.ok();
    assert_eq!(added.status, 201);
    let statement: Value = serde_json::from_str(added.json()["Statement"].as_str().unwrap()).unwrap();
    assert_eq!(statement["Principal"]["Service"], "iot.amazonaws.com");
    let twice = lambda(&world, "POST", &policy, add).await;
    assert_eq!((twice.status, twice.error()), (409, "ResourceConflictException"));
    let told = lambda(&world, "GET", &policy, Value::Null).await.ok().json();
    let whole: Value = serde_json::from_str(told["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(whole["Statement"], json!([statement]));
    let removed = lambda(&world, "DELETE", &format!("{policy}/iot"), Value::Null).await;
    assert_eq!(removed.status, 204);
    assert_eq!(lambda(&world, "GET", &policy, Value::Null).await.status, 404);
}

/// Functions are listed in pages, and tagged under their ARN.
#[tokio::test]
async fn functions_are_listed_in_pages_and_tagged() {
    let world = with_function("").await;
    lambda(&world, "POST", FUNCTIONS, python("other", "")).await.ok();
    let first = lambda(&world, "GET", &format!("{FUNCTIONS}?MaxItems=1"), Value::Null).await.ok().json();
    let marker = first["NextMarker"].as_str().unwrap();
    let second = lambda(&world, "GET", &format!("{FUNCTIONS}?MaxItems=1&Marker={marker}"), Value::Null)
        .await
        .ok()
        .json();
    assert_eq!(first["Functions"][0]["FunctionName"], "hook");
    assert_eq!(
        (&second["Functions"][0]["FunctionName"], &second["NextMarker"]),
        (&json!("other"), &Value::Null)
    );
    let tags = "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Ahook";
    lambda(&world, "POST", tags, json!({"Tags": {"a": "1", "b": "2"}})).await.ok();
    lambda(&world, "DELETE", &format!("{tags}?tagKeys=a"), Value::Null).await.ok();
    assert_eq!(lambda(&world, "GET", tags, Value::Null).await.ok().json()["Tags"], json!({"b": "2"}));
}

/// A role that does not let Lambda in is refused in Lambda's words, which scripts look for.
#[tokio::test]
async fn a_role_that_lambda_cannot_take_is_refused() {
    let world = World::start().await;
    let answer = lambda(&world, "POST", FUNCTIONS, python("hook", "")).await;
    assert_eq!((answer.status, answer.error()), (400, "InvalidParameterValueException"));
    assert_eq!(answer.json()["Message"], "The role defined for the function cannot be assumed by Lambda.");
}

/// Where any credentials are taken, functions are kept but their code does not run unless it is allowed.
#[tokio::test]
async fn under_any_credentials_no_code_runs_unless_it_is_allowed() {
    for allow_code in [false, true] {
        let world = World::with(|config| {
            config.rest.any_credentials = true;
            config.rest.allow_code = allow_code;
        })
        .await;
        world.call("iam", Request::form(&role("Hook", "lambda.amazonaws.com"))).await.ok();
        let new = python("hook", "def handler(event, context):\n    return 1\n");
        lambda(&world, "POST", FUNCTIONS, new).await.ok();
        let answer = lambda(&world, "POST", &format!("{FUNCTIONS}/hook/invocations"), json!({})).await;
        assert_eq!(answer.status, if allow_code { 200 } else { 403 }, "{}", answer.text());
    }
}

/// A reset takes functions, roles and log groups with it.
#[tokio::test]
async fn a_reset_takes_functions_roles_and_log_groups() {
    let world = World::with(|config| config.rest.allow_reset = true).await;
    world.call("iam", Request::form(&role("Hook", "lambda.amazonaws.com"))).await.ok();
    lambda(&world, "POST", FUNCTIONS, python("hook", "")).await.ok();
    logs(&world, "CreateLogGroup", json!({"logGroupName": "g"})).await.ok();
    world.send(Request::new("POST", "/_fleetkey/reset").host(world.port())).await.ok();
    let roles = world.call("iam", Request::form("Action=ListRoles")).await.ok().text();
    assert!(roles.contains("<Roles></Roles>"), "{roles}");
    assert_eq!(lambda(&world, "GET", FUNCTIONS, Value::Null).await.ok().json()["Functions"], json!([]));
    assert_eq!(logs(&world, "DescribeLogGroups", json!({})).await.ok().json()["logGroups"], json!([]));
}

/// A stream is read from its head or its end, and to the end: then the token is the one that was given.
#[tokio::test]
async fn a_stream_is_read_to_its_end_from_either_side() {
    let world =
        with_function("def handler(event, context):\n    for n in range(5): print('line', n)\n").await;
    lambda(&world, "POST", &format!("{FUNCTIONS}/hook/invocations"), json!({})).await.ok();
    let group = "/aws/lambda/hook";
    let streams = logs(
        &world,
        "DescribeLogStreams",
        json!({"logGroupName": group, "descending": true,
        "orderBy": "LastEventTime"}),
    );
    let stream = streams.await.ok().json()["logStreams"][0]["logStreamName"].clone();
    let get = async |token: &Value, head: bool, limit: u32| {
        let request = json!({"logGroupName": group, "logStreamName": stream, "nextToken": token,
            "startFromHead": head, "limit": limit});
        logs(&world, "GetLogEvents", request).await.ok().json()
    };
    let messages = |answer: &Value| -> Vec<String> {
        let events = answer["events"].as_array().unwrap().iter();
        events.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    };
    let all = messages(&get(&Value::Null, true, 100).await);
    // START, five lines, END, REPORT.
    assert_eq!((all.len(), all[1].as_str(), all[5].as_str()), (8, "line 0", "line 4"));
    for (head, next) in [(true, "nextForwardToken"), (false, "nextBackwardToken")] {
        let (mut token, mut pages) = (Value::Null, Vec::new());
        loop {
            let answer = get(&token, head, 3).await;
            if answer[next] == token {
                assert_eq!(answer["events"], json!([]));
                break;
            }
            pages.push(messages(&answer));
            token = answer[next].clone();
        }
        assert_eq!(pages.len(), 3, "{pages:?}");
        if !head {
            pages.reverse();
        }
        assert_eq!(pages.concat(), all);
    }
}

/// Of logs is refused what CloudWatch Logs refuses: a stream that there is not, a number out of range, a foreign token.
#[tokio::test]
async fn what_cannot_be_read_of_logs_is_refused() {
    let world = with_function("").await;
    logs(&world, "CreateLogGroup", json!({"logGroupName": "g"})).await.ok();
    let refused = "InvalidParameterException";
    for (operation, members, code) in [
        ("GetLogEvents", json!({"logStreamName": "none"}), "ResourceNotFoundException"),
        ("GetLogEvents", json!({}), refused),
        ("GetLogEvents", json!({"logStreamName": "none", "limit": 0}), refused),
        ("GetLogEvents", json!({"logStreamName": "none", "limit": 10_001}), refused),
        ("GetLogEvents", json!({"logStreamName": "none", "nextToken": "f/end"}), refused),
        ("FilterLogEvents", json!({"logStreamNames": ["none"]}), "ResourceNotFoundException"),
        ("FilterLogEvents", json!({"limit": 10_001}), refused),
        ("FilterLogEvents", json!({"nextToken": "other"}), refused),
        ("FilterLogEvents", json!({"logGroupIdentifier": "g"}), refused),
        ("DescribeLogStreams", json!({"limit": 51}), refused),
        ("DescribeLogStreams", json!({"orderBy": "Size"}), refused),
    ] {
        let mut request = members.clone();
        request["logGroupName"] = "g".into();
        let answer = logs(&world, operation, request).await;
        assert_eq!((answer.status, answer.error()), (400, code), "{operation} {members}: {}", answer.text());
    }
    assert_eq!(logs(&world, "DescribeLogGroups", json!({"limit": 0})).await.error(), refused);
    let by_arn = json!({"logGroupIdentifier": "arn:aws:logs:us-east-1:123456789012:log-group:g"});
    logs(&world, "FilterLogEvents", by_arn).await.ok();
}

/// A log group has a retention and tags; CloudWatch Logs offers only some numbers of days.
#[tokio::test]
async fn a_log_group_is_made_kept_for_days_and_deleted() {
    let world = World::start().await;
    let group = json!({"logGroupName": "/aws/lambda/hook", "tags": {"a": "1"}});
    logs(&world, "CreateLogGroup", group.clone()).await.ok();
    let twice = logs(&world, "CreateLogGroup", group.clone()).await;
    assert_eq!((twice.status, twice.error()), (400, "ResourceAlreadyExistsException"));
    let retain = |days: u32| json!({"logGroupName": "/aws/lambda/hook", "retentionInDays": days});
    logs(&world, "PutRetentionPolicy", retain(30)).await.ok();
    assert_eq!(logs(&world, "PutRetentionPolicy", retain(31)).await.error(), "InvalidParameterException");
    let found = logs(&world, "DescribeLogGroups", json!({"logGroupNamePrefix": "/aws/"})).await.ok().json();
    assert_eq!(found["logGroups"][0]["retentionInDays"], 30);
    let arn = found["logGroups"][0]["logGroupArn"].clone();
    assert_eq!(arn, "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/hook");
    let tags = logs(&world, "ListTagsForResource", json!({"resourceArn": arn})).await.ok().json();
    assert_eq!(tags["tags"], json!({"a": "1"}));
    logs(&world, "DeleteLogGroup", group.clone()).await.ok();
    assert_eq!(logs(&world, "DeleteLogGroup", group).await.error(), "ResourceNotFoundException");
}
