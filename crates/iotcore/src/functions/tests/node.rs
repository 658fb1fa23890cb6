//! Node handlers.

use super::*;

fn node(file: &str, code: &str) -> NewFunction {
    function("nodejs22.x", "index.handler", file, code)
}

#[tokio::test]
async fn every_way_to_write_a_handler_answers() {
    let table = [
        ("index.js", "exports.handler = async (event, context) => ({event, name: context.functionName});"),
        (
            "index.js",
            "exports.handler = (event, context, done) => setImmediate(() => done(null, {event, name: context.functionName}));",
        ),
        (
            "index.mjs",
            "export const handler = async (event, context) => ({event, name: context.functionName});",
        ),
        (
            "index.cjs",
            "module.exports = {handler: (event, context) => context.succeed({event, name: context.functionName})};",
        ),
    ];
    let bench = Bench::new().await;
    bench.create(node("index.js", "")).await;
    for (file, code) in table {
        let zip = zip(&[(file, code)]);
        bench.functions.update_code("hook", NewCode { zip, ..NewCode::default() }).await.unwrap();
        let answer = bench.invoke(&json!({"ä": [1]})).await.answer();
        assert_eq!(answer, json!({"event": {"ä": [1]}, "name": "hook"}), "{file}: {code}");
    }
}

#[tokio::test]
async fn failures_are_told_as_lambda_tells_them() {
    let table = [
        ("exports.handler = async () => { throw new TypeError('no'); };", "TypeError", "no"),
        ("exports.handler = (e, c, done) => done(new RangeError('far'));", "RangeError", "far"),
        (
            "exports.handler = () => { setTimeout(() => { throw new Error('late'); }, 1); };",
            "Runtime.UnhandledException",
            "late",
        ),
        (
            "exports.handler = () => { Promise.reject(new Error('lost')); };",
            "Runtime.UnhandledPromiseRejection",
            "lost",
        ),
        ("exports.other = 1;", "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
        (
            "exports.handler = async () => { const a = {}; a.a = a; return a; };",
            "Runtime.MarshalError",
            "circular",
        ),
        ("exports.handler = async () => process.exit(4);", "Runtime.ExitError", "exit status 4"),
        ("exports.handler = (", "Runtime.UserCodeSyntaxError", "Unexpected"),
    ];
    let bench = Bench::new().await;
    bench.create(node("index.js", "")).await;
    for (code, kind, message) in table {
        let zip = zip(&[("index.js", code)]);
        bench.functions.update_code("hook", NewCode { zip, ..NewCode::default() }).await.unwrap();
        let (found, words) = bench.invoke(&json!({})).await.failure();
        assert!(found == kind && words.contains(message), "{code}: {found}: {words}");
    }
}

#[tokio::test]
async fn what_is_printed_is_the_log_and_never_the_answer() {
    let code = "console.log('loading');\nexports.handler = async () => {\n\
                require('fs').writeSync(1, 'R\"forged\"\\n');\n\
                require('child_process').spawnSync('/bin/sh', ['-c', 'echo child'], {stdio: 'inherit'});\n\
                return 'real'; };";
    let ended = Bench::once(node("index.js", code), json!({})).await;
    assert_eq!(ended.answer(), "real");
    for line in ["loading", "R\"forged\"", "child"] {
        assert!(ended.text().contains(line), "{line}: {}", ended.text());
    }
}
