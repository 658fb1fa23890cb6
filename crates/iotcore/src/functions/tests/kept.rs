//! What is kept of functions, and what is refused before anything is kept.

use super::*;
use crate::functions::archive::ArchiveError;

const CODE: &str = "def handler(event, context):\n    return 'one'\n";

fn permission(sid: &str) -> NewPermission {
    let permission = Permission {
        sid: sid.into(),
        action: "lambda:InvokeFunction".into(),
        principal: "iot.amazonaws.com".into(),
        source_arn: None,
        source_account: None,
    };
    NewPermission { permission, revision: None }
}

fn zips(bench: &Bench) -> usize {
    std::fs::read_dir(bench.directory.path().join("functions/zips")).unwrap().count()
}

#[tokio::test]
async fn a_function_outlives_the_program_with_code_configuration_and_policy() {
    let bench = Bench::new().await;
    bench.create(python(CODE)).await;
    bench.functions.add_permission("hook", permission("iot")).await.unwrap();
    let change = ConfigurationChange { memory: Some(256), ..ConfigurationChange::default() };
    let made = bench.functions.update_configuration("hook", change).await.unwrap();
    let bench = bench.restart().await;
    assert_eq!(bench.functions.function("hook").unwrap(), made);
    assert_eq!((made.memory, made.timeout, made.permissions.len()), (256, 30, 1));
    assert_eq!(bench.invoke(&json!({})).await.answer(), "one");
}

#[tokio::test]
async fn code_is_kept_as_long_as_a_function_has_it() {
    let bench = Bench::new().await;
    let first = bench.create(python(CODE)).await;
    let twin = bench.create(NewFunction { name: "twin".into(), ..python(CODE) }).await;
    assert_eq!((&first.code, zips(&bench)), (&twin.code, 1));
    let zip = zip(&[("lambda_function.py", "def handler(event, context):\n    return 'two'\n")]);
    let dry = NewCode { zip: zip.clone(), dry_run: true, ..NewCode::default() };
    bench.functions.update_code("hook", dry).await.unwrap();
    assert_eq!((bench.invoke(&json!({})).await.answer(), zips(&bench)), (json!("one"), 1));
    let second = bench.functions.update_code("hook", NewCode { zip, ..NewCode::default() }).await.unwrap();
    assert!(second.code != first.code && second.revision != first.revision);
    assert_eq!(bench.invoke(&json!({})).await.answer(), "two");
    assert_eq!(zips(&bench), 2);
    bench.functions.delete("twin").await.unwrap();
    assert_eq!(zips(&bench), 1);
    bench.functions.reset().await.unwrap();
    assert_eq!((zips(&bench), bench.functions.functions().len()), (0, 0));
    assert_eq!(std::fs::read_dir(bench.directory.path().join("functions/unpacked")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_version_outlives_the_program_with_its_code_and_its_number_outlives_the_function() {
    let bench = Bench::new().await;
    bench.create(python(CODE)).await;
    let version = bench.functions.publish("hook", Publication::default()).await.unwrap();
    let zip = zip(&[("lambda_function.py", "def handler(event, context):\n    return 'two'\n")]);
    bench.functions.update_code("hook", NewCode { zip, ..NewCode::default() }).await.unwrap();
    let bench = bench.restart().await;
    assert_eq!(bench.functions.function("hook:1").unwrap(), version);
    assert_eq!((zips(&bench), bench.invoke(&json!({})).await.answer()), (2, json!("two")));
    let old = bench.functions.invoke("hook:1", "{}".into()).await.unwrap();
    assert_eq!((&old.payload[..], old.version.as_str()), (&b"\"one\""[..], "1"));
    bench.functions.delete("hook:1").await.unwrap();
    assert_eq!(zips(&bench), 1);
    bench.functions.delete("hook").await.unwrap();
    let bench = bench.restart().await;
    bench.create(python(CODE)).await;
    let next = bench.functions.publish("hook", Publication::default()).await.unwrap();
    assert_eq!(next.version_name(), "2");
}

#[tokio::test]
async fn a_role_that_lambda_cannot_take_is_refused_in_its_words() {
    let bench = Bench::new().await;
    for role in ["arn:aws:iam::123456789012:role/NoSuchRole", "Hook", ""] {
        let error =
            bench.functions.create(NewFunction { role: role.into(), ..python(CODE) }).await.unwrap_err();
        assert_eq!(error.code(), "InvalidParameterValueException");
        assert_eq!(error.to_string(), "The role defined for the function cannot be assumed by Lambda.");
    }
}

#[tokio::test]
async fn what_lambda_refuses_leaves_nothing_behind() {
    let bench = Bench::new().await;
    let table = [
        (NewFunction { name: "a b".into(), ..python(CODE) }, "ValidationException"),
        (NewFunction { runtime: "cobol".into(), ..python(CODE) }, "ValidationException"),
        (NewFunction { runtime: "java21".into(), ..python(CODE) }, "InvalidParameterValueException"),
        (NewFunction { handler: String::new(), ..python(CODE) }, "InvalidParameterValueException"),
        (NewFunction { timeout: Some(901), ..python(CODE) }, "ValidationException"),
        (NewFunction { memory: Some(127), ..python(CODE) }, "ValidationException"),
        (NewFunction { architecture: Some("mips".into()), ..python(CODE) }, "ValidationException"),
        (NewFunction { zip: b"no zip".to_vec(), ..python(CODE) }, "InvalidParameterValueException"),
        (NewFunction { zip: zip(&[("../x", "x")]), ..python(CODE) }, "InvalidParameterValueException"),
    ];
    for (new, code) in table {
        let error = bench.functions.create(new).await.unwrap_err();
        assert_eq!((error.code(), error.status()), (code, 400), "{error}");
    }
    assert_eq!((zips(&bench), bench.functions.functions().len()), (0, 0));
    bench.create(python(CODE)).await;
    let error = bench.functions.create(python(CODE)).await.unwrap_err();
    assert_eq!((error.code(), error.status()), ("ResourceConflictException", 409));
}

#[tokio::test]
async fn a_missing_interpreter_is_told_when_the_function_is_made() {
    let config = FunctionsConfig { node: "/nowhere/node".into(), ..FunctionsConfig::default() };
    let bench = Bench::with(config).await;
    let new = function("nodejs22.x", "index.handler", "index.js", "");
    let error = bench.functions.create(new).await.unwrap_err();
    assert_eq!(error.code(), "InvalidParameterValueException");
    assert!(error.to_string().contains("need Node.js, and /nowhere/node cannot be run"), "{error}");
}

#[tokio::test]
async fn where_anybody_may_call_no_code_runs() {
    let bench = Bench::with(FunctionsConfig { allow_code: false, ..FunctionsConfig::default() }).await;
    bench.create(python(CODE)).await;
    let error = bench.functions.invoke("hook", "{}".into()).await.unwrap_err();
    assert_eq!((error.code(), error.status()), ("AccessDeniedException", 403));
    assert!(error.to_string().contains("--allow-code"), "{error}");
}

#[tokio::test]
async fn a_permission_has_an_id_of_its_own() {
    let bench = Bench::new().await;
    bench.create(python(CODE)).await;
    assert_eq!(bench.functions.policy("hook").unwrap_err().status(), 404);
    let statement = bench.functions.add_permission("hook", permission("iot")).await.unwrap();
    let (policy, revision) = bench.functions.policy("hook").unwrap();
    assert_eq!(policy["Statement"], json!([statement]));
    let error = bench.functions.add_permission("hook", permission("iot")).await.unwrap_err();
    assert_eq!((error.code(), error.status()), ("ResourceConflictException", 409));
    let error = bench.functions.remove_permission("hook", "iot", Some("old")).await.unwrap_err();
    assert_eq!(error.status(), 412);
    bench.functions.remove_permission("hook", "iot", Some(&revision)).await.unwrap();
    assert_eq!(bench.functions.remove_permission("hook", "iot", None).await.unwrap_err().status(), 404);
    for sid in ["", "a b"] {
        assert_eq!(bench.functions.add_permission("hook", permission(sid)).await.unwrap_err().status(), 400);
    }
}

#[tokio::test]
async fn code_that_was_damaged_on_disk_is_named_and_not_run() {
    let bench = Bench::new().await;
    let made = bench.create(python(CODE)).await;
    let path = bench.directory.path().join(format!("functions/zips/{}.zip", made.code.sha256));
    let bench = bench.restart().await;
    std::fs::write(&path, "damaged").unwrap();
    let error = bench.functions.invoke("hook", "{}".into()).await.unwrap_err();
    assert!(error.status() == 500 && error.to_string().contains("is damaged"), "{error}");
}

#[test]
fn a_full_disk_is_not_the_packages_fault() {
    let disk = FunctionError::from(ArchiveError::Disk(std::io::ErrorKind::StorageFull.into()));
    assert_eq!((disk.code(), disk.status()), ("ServiceException", 500));
}
