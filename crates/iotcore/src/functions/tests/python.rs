//! Python handlers.

use super::*;

#[tokio::test]
async fn a_handler_gets_event_and_context_and_answers() {
    let code = "def handler(event, context):\n    return {'event': event, 'name': context.function_name, \
                'arn': context.invoked_function_arn, 'left': context.get_remaining_time_in_millis()}\n";
    let answer = Bench::once(python(code), json!({"a": "ä\u{1f600}", "n": [1, null]})).await.answer();
    assert_eq!(answer["event"], json!({"a": "ä\u{1f600}", "n": [1, null]}));
    assert_eq!(answer["arn"], "arn:aws:lambda:us-east-1:123456789012:function:hook");
    let left = answer["left"].as_u64().unwrap();
    assert!((1..=30_000).contains(&left), "{left}");
}

#[tokio::test]
async fn what_is_printed_is_the_log_and_never_the_answer() {
    let code = "import os, subprocess, sys\nprint('while loading')\ndef handler(event, context):\n\
                \x20   print('R\"forged\"')\n    os.write(1, b'raw\\n')\n    sys.stderr.write('to stderr\\n')\n\
                \x20   subprocess.run(['/bin/sh', '-c', 'echo from a child'])\n    return 'real'\n";
    let ended = Bench::once(python(code), json!({})).await;
    assert_eq!(ended.answer(), "real");
    for line in
        ["while loading", "R\"forged\"", "raw", "to stderr", "from a child", "START RequestId", "REPORT"]
    {
        assert!(ended.text().contains(line), "{line}: {}", ended.text());
    }
}

/// Lambda's runtime has a handler on the root logger, so `logging` needs no setting up but the level.
#[tokio::test]
async fn what_is_logged_is_in_the_log_from_the_level_on() {
    let code = "import logging\nlog = logging.getLogger()\ndef handler(event, context):\n\
                \x20   log.info('too quiet')\n    log.setLevel(logging.INFO)\n    log.info('%s is heard', 'this')\n\
                \x20   log.warning('louder')\n";
    let text = Bench::once(python(code), json!({})).await.text();
    assert!(!text.contains("too quiet"), "{text}");
    for (level, line) in [("[INFO]\t", "\tthis is heard"), ("[WARNING]\t", "\tlouder")] {
        let told = text.lines().any(|told| told.starts_with(level) && told.ends_with(line));
        assert!(told, "{line}: {text}");
    }
}

#[tokio::test]
async fn a_handler_that_throws_is_told_with_its_trace() {
    let code =
        "def deep():\n    raise ValueError('no such serial')\ndef handler(event, context):\n    deep()\n";
    let ended = Bench::once(python(code), json!({})).await;
    assert_eq!(ended.failure(), ("ValueError".to_owned(), "no such serial".to_owned()));
    let trace = ended.json()["stackTrace"].to_string();
    assert!(
        trace.contains("in deep") && trace.contains("in handler") && !trace.contains("invoke"),
        "{trace}"
    );
    assert!(ended.text().contains("[ERROR] ValueError: no such serial"), "{}", ended.text());
}

#[tokio::test]
async fn what_cannot_be_loaded_is_told_as_lambda_tells_it() {
    let table = [
        ("import no_such_module\n", "Runtime.ImportModuleError", "No module named 'no_such_module'"),
        ("def handler(:\n", "Runtime.UserCodeSyntaxError", "Syntax error in module 'lambda_function'"),
        ("x = 1\n", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'lambda_function'"),
        ("def handler(e, c):\n    return {1, 2}\n", "Runtime.MarshalError", "Unable to marshal response"),
        ("import os\ndef handler(e, c):\n    os._exit(3)\n", "Runtime.ExitError", "exit status 3"),
        (
            "import sys\ndef handler(e, c):\n    sys.exit()\n",
            "Runtime.ExitError",
            "without providing a reason",
        ),
        (
            "import os\ndef handler(e, c):\n    os.kill(os.getpid(), 9)\n",
            "Runtime.ExitError",
            "signal: SIGKILL",
        ),
    ];
    let bench = Bench::new().await;
    bench.create(python("")).await;
    for (code, kind, message) in table {
        let zip = zip(&[("lambda_function.py", code)]);
        bench.functions.update_code("hook", NewCode { zip, ..NewCode::default() }).await.unwrap();
        let (found, words) = bench.invoke(&json!({})).await.failure();
        assert!(found == kind && words.contains(message), "{code}: {found}: {words}");
    }
}

#[tokio::test]
async fn a_process_has_nothing_of_our_environment_and_a_home_of_its_own() {
    let code = "import os\ndef handler(event, context):\n    home = os.environ['HOME']\n\
                \x20   open(os.path.join(home, 'left'), 'w').write('x')\n\
                \x20   return {'environment': dict(os.environ), 'cwd': os.getcwd(), 'files': os.listdir('.')}\n";
    let bench = Bench::new().await;
    let environment =
        Variables(BTreeMap::from([("SECRET".into(), "own".into()), ("TZ".into(), "CET".into())]));
    bench.create(NewFunction { environment, ..python(code) }).await;
    let answer = bench.invoke(&json!({})).await.answer();
    let variables = answer["environment"].as_object().unwrap();
    for name in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "USER", "AWS_ACCESS_KEY_ID", "RUST_LOG"] {
        assert!(!variables.contains_key(name), "{name}");
    }
    assert_eq!((&variables["SECRET"], &variables["TZ"]), (&json!("own"), &json!("CET")));
    assert_eq!(variables["AWS_REGION"], "us-east-1");
    assert_eq!(variables["AWS_LAMBDA_LOG_GROUP_NAME"], "/aws/lambda/hook");
    assert_eq!(answer["files"], json!(["lambda_function.py"]));
    assert_ne!(variables["HOME"], answer["cwd"]);
    assert_eq!(bench.homes(), 0, "its home goes with it");
}

/// Lambda's runtime has imported its own before the package is looked at.
#[tokio::test]
async fn modules_of_the_package_do_not_stand_in_for_those_of_the_runtime() {
    let bench = Bench::new().await;
    let broken = "raise RuntimeError('the package stands in for the standard library')\n";
    let handler = "import json, logging, part\ndef handler(e, c):\n    logging.warning('heard')\n    \
                   return [json.loads('7'), part.value]\n";
    let files = [
        ("json.py", broken),
        ("logging.py", broken),
        ("lib/traceback.py", broken),
        ("lib/os.py", broken),
        ("lib/part.py", "value = 8\n"),
        ("lambda_function.py", handler),
    ];
    let environment = Variables(BTreeMap::from([("PYTHONPATH".into(), "lib".into())]));
    bench.create(NewFunction { zip: zip(&files), environment, ..python("") }).await;
    let ended = bench.invoke(&json!({})).await;
    assert_eq!(ended.answer(), json!([7, 8]));
    assert!(ended.text().contains("heard"), "{}", ended.text());
}

#[tokio::test]
async fn a_handler_in_a_package_of_the_archive_is_found() {
    let bench = Bench::new().await;
    let files = [
        ("pkg/__init__.py", ""),
        ("pkg/app.py", "from pkg.part import value\ndef run(e, c):\n    return value\n"),
        ("pkg/part.py", "value = 7\n"),
    ];
    bench.create(NewFunction { zip: zip(&files), handler: "pkg/app.run".into(), ..python("") }).await;
    assert_eq!(bench.invoke(&json!({})).await.answer(), 7);
}
