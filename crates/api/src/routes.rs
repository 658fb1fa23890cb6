//! From a request to its answer.

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};

use crate::api::{Api, PREFIX};
use crate::backend::Backend;
use crate::guard::Guard;
use crate::reply::{METRICS, Refused, Reply, only, reply, words};

/// Answering has panicked; the log has told of it.
pub(crate) fn broken() -> Reply {
    words(StatusCode::INTERNAL_SERVER_ERROR, "this could not be answered")
}

/// Answers one request.
pub(crate) async fn answer<B: Backend>(
    backend: &B,
    guard: &Guard,
    api: &Api,
    request: Request<Incoming>,
) -> Reply {
    if let Err(Refused(status, why)) = guard.admit(request.headers()) {
        return words(status, why);
    }
    let path = request.uri().path();
    if path.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with('/')) {
        return api.answer(backend, request).await;
    }
    if !matches!(path, "/healthz" | "/readyz" | "/metrics") {
        return words(
            StatusCode::NOT_FOUND,
            "nothing here; there are /healthz, /readyz, /metrics and /api/v1",
        );
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return only("GET, HEAD");
    }
    match path {
        // The process lives and its runtime takes turns: that is all that a restart could mend.
        "/healthz" => words(StatusCode::OK, "ok"),
        "/readyz" => match backend.unready() {
            None => words(StatusCode::OK, &backend.ready()),
            Some(why) => words(StatusCode::SERVICE_UNAVAILABLE, &why),
        },
        _ => reply(StatusCode::OK, METRICS, backend.metrics().await),
    }
}
