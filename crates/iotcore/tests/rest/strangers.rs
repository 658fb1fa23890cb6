//! Web pages and foreign names get nothing, whatever they carry.

use crate::support::{Request, World};

/// A request of a web page is refused, even with any credentials and on our own paths.
#[tokio::test]
async fn a_web_page_is_refused_everywhere() {
    let world = World::with(|config| {
        config.rest.any_credentials = true;
        config.rest.allow_reset = true;
    })
    .await;
    for (method, path) in [
        ("GET", "/endpoint"),
        ("POST", "/_fleetkey/reset"),
        ("GET", "/_fleetkey/coverage"),
        ("OPTIONS", "/things"),
    ] {
        for (name, value) in
            [("origin", "null"), ("origin", "http://localhost:3000"), ("sec-fetch-site", "none")]
        {
            let request = Request::new(method, path).header(name, value).host(world.port());
            let answer = world.send(request).await;
            assert_eq!(
                (answer.status, answer.error()),
                (403, "AccessDeniedException"),
                "{method} {path} {name}"
            );
            assert!(answer.header("access-control-allow-origin").is_none());
        }
    }
}

/// A name that somebody has pointed at this computer (DNS rebinding) is refused; names of the server are not.
#[tokio::test]
async fn a_foreign_host_is_refused_and_a_host_of_ours_is_not() {
    let world = World::with(|config| config.hosts = vec!["core.example".into()]).await;
    for (host, status) in [
        ("evil.example", 403),
        ("localhost.evil.example:80", 403),
        ("core.example", 200),
        ("localhost:4566", 200),
    ] {
        let request = Request::new("GET", "/_fleetkey/coverage").header("host", host);
        assert_eq!(world.send(request).await.status, status, "{host}");
    }
}
