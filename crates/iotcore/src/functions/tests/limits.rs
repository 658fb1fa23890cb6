//! Time, size, number, and what is killed at the end.

use super::*;
use crate::functions::invoke::MAX_PAYLOAD;

/// A handler that starts a child, which locks `event.path`, waits until it has, and then does `then`.
fn with_child(then: &str) -> NewFunction {
    python(&format!(
        "import subprocess, sys, time\nCHILD = '''import fcntl, sys, time\nf = open(sys.argv[1], \"w\")\n\
         fcntl.flock(f, fcntl.LOCK_EX)\nprint(\"locked\", flush=True)\nwhile True: time.sleep(1)'''\n\
         def handler(event, context):\n\
         \x20   child = subprocess.Popen([sys.executable, '-c', CHILD, event['path']], stdout=subprocess.PIPE)\n\
         \x20   child.stdout.readline()\n    {then}\n"
    ))
}

#[tokio::test]
async fn the_time_over_grandchildren_are_killed_too() {
    let bench = Bench::new().await;
    // Long enough for a busy machine to start two interpreters.
    bench.create(NewFunction { timeout: Some(6), ..with_child("while True: time.sleep(1)") }).await;
    let path = bench.directory.path().join("lock");
    let ended = bench.invoke(&json!({"path": path})).await;
    let (kind, message) = ended.failure();
    assert_eq!(kind, "Sandbox.Timedout");
    assert!(message.ends_with("Error: Task timed out after 6.00 seconds"), "{message}");
    assert!(ended.text().contains("Task timed out"), "{}", ended.text());
    unlocked(&path).await;
}

#[tokio::test]
async fn what_runs_on_after_the_answer_is_killed() {
    let bench = Bench::new().await;
    bench.create(with_child("return 'done'")).await;
    let path = bench.directory.path().join("lock");
    assert_eq!(bench.invoke(&json!({"path": path})).await.answer(), "done");
    unlocked(&path).await;
}

#[tokio::test]
async fn stopping_kills_what_runs_and_lets_nothing_start() {
    let bench = Bench::new().await;
    bench.create(with_child("while True: time.sleep(1)")).await;
    let path = bench.directory.path().join("lock");
    let event = json!({"path": path}).to_string();
    bench.functions.invoke_later("hook", event.clone().into()).await.unwrap();
    // The child has locked the file when another cannot.
    let locked = || File::open(&path).is_ok_and(|file| file.try_lock().is_err());
    let waiting = async {
        while !locked() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap();
    bench.functions.stop().await;
    unlocked(&path).await;
    bench.functions.invoke("hook", event.into()).await.unwrap_err();
}

#[tokio::test]
async fn an_answer_or_a_log_without_end_is_cut() {
    let bench = Bench::new().await;
    bench.create(python(&format!("def handler(event, context):\n    return 'x' * {MAX_PAYLOAD}\n"))).await;
    assert_eq!(bench.invoke(&json!({})).await.failure().0, "Function.ResponseSizeTooLarge");
    let code = "import os\ndef handler(event, context):\n    for n in range(64): os.write(1, b'x' * 65536)\n    return 1\n";
    let zip = zip(&[("lambda_function.py", code)]);
    bench.functions.update_code("hook", NewCode { zip, ..NewCode::default() }).await.unwrap();
    let ended = bench.invoke(&json!({})).await;
    assert_eq!(ended.answer(), 1);
    assert!(
        ended.log.len() < 1_100_000 && ended.text().contains("bytes more were not kept"),
        "{}",
        ended.log.len()
    );
}

#[tokio::test]
async fn a_large_event_arrives_and_a_larger_one_is_refused() {
    let bench = Bench::new().await;
    bench.create(python("def handler(event, context):\n    return len(event)\n")).await;
    let event = json!("x".repeat(MAX_PAYLOAD - 2));
    assert_eq!(bench.invoke(&event).await.answer(), MAX_PAYLOAD - 2);
    let refused = bench.functions.invoke("hook", vec![b' '; MAX_PAYLOAD + 1].into()).await.unwrap_err();
    assert_eq!((refused.code(), refused.status()), ("RequestTooLargeException", 413));
    let refused = bench.functions.invoke("hook", "{".into()).await.unwrap_err();
    assert_eq!((refused.code(), refused.status()), ("InvalidRequestContentException", 400));
}

/// What waits for its turn runs the code that the function had when it was invoked.
#[tokio::test]
async fn a_function_may_be_changed_or_deleted_while_an_invocation_waits() {
    let bench = Bench::new().await;
    bench.create(python("def handler(event, context):\n    return 'first'\n")).await;
    // As after a start of this program: the code is not unpacked yet.
    let bench = bench.restart().await;
    let inner = &bench.functions.0;
    let (slots, places) = (inner.slots.available_permits(), inner.waiting.available_permits());
    let all = inner.slots.clone().acquire_many_owned(u32::try_from(slots).unwrap()).await.unwrap();
    let invoke = || {
        let functions = bench.functions.clone();
        tokio::spawn(async move { functions.invoke("hook", "{}".into()).await.unwrap().answer() })
    };
    let wait = async |waiting: usize| {
        let all_there = async {
            while inner.waiting.available_permits() > places - waiting {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), all_there).await.unwrap();
    };
    let first = invoke();
    wait(1).await;
    let zip = zip(&[("lambda_function.py", "def handler(event, context):\n    return 'second'\n")]);
    bench.functions.update_code("hook", NewCode { zip, ..NewCode::default() }).await.unwrap();
    let second = invoke();
    wait(2).await;
    bench.functions.delete("hook").await.unwrap();
    drop(all);
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (json!("first"), json!("second")));
}

#[tokio::test]
async fn an_invocation_too_many_is_refused() {
    let bench = Bench::new().await;
    bench.create(python("def handler(event, context):\n    return 1\n")).await;
    let waiting = bench.functions.0.waiting.clone();
    let places = u32::try_from(waiting.available_permits()).unwrap();
    let all = waiting.acquire_many_owned(places).await.unwrap();
    let refused = bench.functions.invoke("hook", "{}".into()).await.unwrap_err();
    assert_eq!((refused.code(), refused.status()), ("TooManyRequestsException", 429));
    drop(all);
    assert_eq!(bench.invoke(&json!({})).await.answer(), 1);
}

#[tokio::test]
async fn python_does_not_get_more_memory_than_the_function_has() {
    let code = "def handler(event, context):\n    return len(bytearray(event * 1024 * 1024))\n";
    let bench = Bench::new().await;
    bench.create(python(code)).await;
    assert_eq!(bench.invoke(&json!(16)).await.answer(), 16 * 1024 * 1024);
    assert_eq!(bench.invoke(&json!(512)).await.failure().0, "MemoryError");
}

#[tokio::test]
async fn more_invocations_than_processes_take_turns() {
    let bench = Bench::new().await;
    bench.create(python("def handler(event, context):\n    return event\n")).await;
    let invoke = |n: u32| {
        let functions = bench.functions.clone();
        tokio::spawn(async move { functions.invoke("hook", n.to_string().into()).await.unwrap().answer() })
    };
    let all: Vec<_> = (0..25).map(invoke).collect();
    for (n, done) in all.into_iter().enumerate() {
        assert_eq!(done.await.unwrap(), n);
    }
    assert_eq!(bench.homes(), 0);
}
