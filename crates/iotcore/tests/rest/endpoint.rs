//! DescribeEndpoint.

use serde_json::Value;

use crate::support::World;

/// The endpoint is a name that the server's certificate carries.
#[tokio::test]
async fn the_endpoint_is_a_name_of_the_servers_certificate() {
    let world = World::start().await;
    let answer = world.iot("GET", "/endpoint?endpointType=iot%3AData-ATS", Value::Null).await.ok();
    assert_eq!(answer.json()["endpointAddress"], "localhost");
    assert_eq!(answer.header("x-amzn-requestid").unwrap().len(), 36);
}

/// Who gave the server a further name has devices sent there.
#[tokio::test]
async fn the_endpoint_is_the_name_that_was_given() {
    let world =
        World::with(|config| config.hosts = vec!["core.example".into(), "other.example".into()]).await;
    let answer = world.iot("GET", "/endpoint", Value::Null).await.ok();
    assert_eq!(answer.json()["endpointAddress"], "core.example");
}

/// An endpoint type that there is not is refused.
#[tokio::test]
async fn an_endpoint_type_that_there_is_not_is_refused() {
    let world = World::start().await;
    let answer = world.iot("GET", "/endpoint?endpointType=iot%3AMail", Value::Null).await;
    assert_eq!((answer.status, answer.error()), (400, "InvalidRequestException"));
}
