//! A function asked as a template's hook.

use fleetkey_model::name::ClientId;

use super::*;
use crate::fixtures::id;
use crate::hook::{FunctionHooks, HookEvent};

const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:hook";
const TEMPLATE: &str = "arn:aws:iot:us-east-1:123456789012:provisioningtemplate/claim";

fn event() -> HookEvent {
    HookEvent {
        claim_certificate_id: id(1),
        certificate_id: id(2),
        certificate_pem: "pem".into(),
        template_arn: TEMPLATE.into(),
        client_id: ClientId::new("claim-1").unwrap(),
        parameters: BTreeMap::from([("SerialNumber".into(), "PM-1".into())]),
    }
}

async fn allow(bench: &Bench, source: &str) {
    let permission = Permission {
        sid: "iot".into(),
        action: "lambda:InvokeFunction".into(),
        principal: "iot.amazonaws.com".into(),
        source_arn: Some(source.into()),
        source_account: Some("123456789012".into()),
    };
    bench.functions.add_permission("hook", NewPermission { permission, revision: None }).await.unwrap();
}

#[tokio::test]
async fn the_function_gets_awss_event_and_decides() {
    let code = "def handler(event, context):\n    import json\n    print(json.dumps(event, sort_keys=True))\n\
                \x20   return {'allowProvisioning': event['parameters']['SerialNumber'].startswith('PM-'), \
                'parameterOverrides': {'Site': 'one'}}\n";
    let bench = Bench::new().await;
    bench.create(python(code)).await;
    allow(&bench, TEMPLATE).await;
    let decision = bench.functions.call(ARN, event()).await.unwrap();
    assert!(decision.allow_provisioning);
    assert_eq!(decision.parameter_overrides, BTreeMap::from([("Site".into(), "one".into())]));
    let told = bench.functions.logs().events("/aws/lambda/hook");
    let told: Value = told.iter().find_map(|line| serde_json::from_str(&line.message).ok()).unwrap();
    let expected = json!({"claimCertificateId": id(1), "certificateId": id(2), "certificatePem": "pem",
        "templateArn": TEMPLATE, "clientId": "claim-1", "parameters": {"SerialNumber": "PM-1"}});
    assert_eq!(told, expected);
    let mut other = event();
    other.parameters.insert("SerialNumber".into(), "XX".into());
    assert!(!bench.functions.call(ARN, other).await.unwrap().allow_provisioning);
}

#[tokio::test]
async fn without_the_right_to_invoke_or_without_the_function_it_fails() {
    let bench = Bench::new().await;
    let missing = bench.functions.call(ARN, event()).await.unwrap_err();
    assert!(missing.to_string().contains("Function not found"), "{missing}");
    bench.create(python("def handler(event, context):\n    return {'allowProvisioning': True}\n")).await;
    allow(&bench, "arn:aws:iot:us-east-1:123456789012:provisioningtemplate/other").await;
    let refused = bench.functions.call(ARN, event()).await.unwrap_err();
    assert!(refused.to_string().contains("may not invoke"), "{refused}");
}

#[tokio::test]
async fn a_function_that_throws_or_answers_nonsense_fails() {
    let bench = Bench::new().await;
    bench.create(python("")).await;
    allow(&bench, TEMPLATE).await;
    for (body, words) in [
        ("raise Exception('no database')", "Exception: no database"),
        ("return None", "no allowProvisioning"),
        ("return {'allowProvisioning': True, 'parameterOverrides': ['a']}", "parameterOverrides"),
    ] {
        let code = format!("def handler(event, context):\n    {body}\n");
        let zip = zip(&[("lambda_function.py", code.as_str())]);
        bench.functions.update_code("hook", NewCode { zip, ..NewCode::default() }).await.unwrap();
        let failure = bench.functions.call(ARN, event()).await.unwrap_err();
        assert!(failure.to_string().contains(words), "{body}: {failure}");
    }
}

#[tokio::test]
async fn a_hook_has_five_seconds_whatever_its_timeout_says() {
    let bench = Bench::new().await;
    bench.create(python("import time\ndef handler(event, context):\n    time.sleep(60)\n")).await;
    allow(&bench, TEMPLATE).await;
    let failure = bench.functions.call(ARN, event()).await.unwrap_err();
    assert!(failure.to_string().contains("Task timed out after 5.00 seconds"), "{failure}");
}
