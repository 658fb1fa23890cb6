//! A runtime of the package's own, through the Runtime API.

use super::*;

/// A runtime in Python, because this computer has one; the API is what is tested.
fn runtime(body: &str) -> NewFunction {
    let code = format!(
        "#!/usr/bin/env -S sh -c 'exec \"$PYTHON\" \"$0\"'\nimport functools, json, os, urllib.request as http\n\
         print = functools.partial(print, flush=True)\n\
         base = 'http://' + os.environ['AWS_LAMBDA_RUNTIME_API'] + '/2018-06-01/runtime/'\n\
         def post(path, value):\n\
         \x20   data = value if isinstance(value, bytes) else json.dumps(value).encode()\n\
         \x20   return http.urlopen(http.Request(base + path, data=data)).status\n\
         def take():\n    return http.urlopen(base + 'invocation/next')\n{body}"
    );
    let new = function("provided.al2023", "any", "bootstrap", &code);
    let python = std::process::Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .expect("the tests need python3");
    let python = String::from_utf8(python.stdout).unwrap().trim().to_owned();
    NewFunction { environment: Variables(BTreeMap::from([("PYTHON".into(), python)])), ..new }
}

#[tokio::test]
async fn a_runtime_takes_the_event_and_answers_over_http() {
    let body = "event = take()\nid = event.headers['Lambda-Runtime-Aws-Request-Id']\n\
                assert int(event.headers['Lambda-Runtime-Deadline-Ms']) > 0\nprint('some noise')\n\
                post('invocation/' + id + '/response', {'got': json.load(event), \
                'arn': event.headers['Lambda-Runtime-Invoked-Function-Arn'], 'handler': os.environ['_HANDLER']})\n\
                take()\n";
    let ended = Bench::once(runtime(body), json!({"a": 1})).await;
    let arn = "arn:aws:lambda:us-east-1:123456789012:function:hook";
    assert_eq!(ended.answer(), json!({"got": {"a": 1}, "arn": arn, "handler": "any"}));
    assert!(ended.text().contains("some noise"));
}

#[tokio::test]
async fn errors_of_a_runtime_are_its_answer() {
    let report = "{'errorType': 'Mine', 'errorMessage': 'no'}";
    let table = [
        format!("post('init/error', {report})\n"),
        format!(
            "id = take().headers['Lambda-Runtime-Aws-Request-Id']\npost('invocation/' + id + '/error', {report})\n"
        ),
    ];
    for body in table {
        let ended = Bench::once(runtime(&body), json!({})).await;
        assert_eq!(ended.failure(), ("Mine".to_owned(), "no".to_owned()), "{body}");
    }
}

#[tokio::test]
async fn nobody_answers_for_another_request_and_no_answer_is_without_end() {
    let body = "import urllib.error\nid = take().headers['Lambda-Runtime-Aws-Request-Id']\ncodes = []\n\
                for path, value in [('invocation/x/response', 1), ('nothing', 1), \
                ('invocation/' + id + '/response', b'x' * 7000000)]:\n\
                \x20   try:\n        codes.append(post(path, value))\n\
                \x20   except urllib.error.HTTPError as error:\n        print('refused', error.code)\n\
                \x20   except OSError:\n        print('cut off')\n";
    let ended = Bench::once(runtime(body), json!({})).await;
    assert_eq!(ended.failure().0, "Function.ResponseSizeTooLarge", "{}", ended.text());
    assert!(ended.text().contains("refused 400\nrefused 400"), "{}", ended.text());
}

#[tokio::test]
async fn a_package_without_bootstrap_or_one_that_ends_early_is_an_error() {
    let bench = Bench::new().await;
    bench.create(function("provided.al2023", "any", "other", "x")).await;
    let (kind, message) = bench.invoke(&json!({})).await.failure();
    assert_eq!(kind, "Runtime.InvalidEntrypoint");
    assert!(message.contains("Couldn't find valid bootstrap(s)"), "{message}");
    let zip = zip(&[("bootstrap", "#!/bin/sh\nexit 7\n")]);
    bench.functions.update_code("hook", NewCode { zip, ..NewCode::default() }).await.unwrap();
    let (kind, message) = bench.invoke(&json!({})).await.failure();
    assert!(kind == "Runtime.ExitError" && message.ends_with("exit status 7"), "{kind} {message}");
}
