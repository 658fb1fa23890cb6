//! Service Quotas: what the account may do how often.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Request, World};

async fn quotas(world: &World, operation: &str, body: Value) -> Answer {
    let request = Request::new("POST", "/").body(body.to_string());
    let request = request.header("content-type", "application/x-amz-json-1.1");
    let target = format!("ServiceQuotasV20190624.{operation}");
    world.call("servicequotas", request.header("x-amz-target", &target)).await
}

/// Quotas are listed in pages by their codes, each once, with AWS's names; what the broker keeps to has the broker's number.
#[tokio::test]
async fn quotas_are_listed_and_told_one_by_one() {
    let world = World::with(|config| config.limits.subscriptions = 7).await;
    let (mut all, mut token, mut pages) = (Vec::new(), Value::Null, 0);
    loop {
        let asked = json!({"ServiceCode": "iotcore", "MaxResults": 20, "NextToken": token});
        let page = quotas(&world, "ListServiceQuotas", asked).await.ok().json();
        all.extend(page["Quotas"].as_array().unwrap().clone());
        (token, pages) = (page["NextToken"].clone(), pages + 1);
        if token.is_null() {
            break;
        }
    }
    assert_eq!(pages, all.len().div_ceil(20));
    let codes: Vec<_> = all.iter().map(|quota| quota["QuotaCode"].as_str().unwrap()).collect();
    assert!(codes.is_sorted() && codes.windows(2).all(|two| two[0] != two[1]), "{codes:?}");
    let named = |name: &str| all.iter().find(|quota| quota["QuotaName"] == name).unwrap();
    assert_eq!(named("Subscriptions per connection")["Value"], 7.0);
    let listing = named("ListCertificates API TPS");
    let told = json!({"ServiceCode": "iotcore", "QuotaCode": "L-97DA2C60"});
    let told = quotas(&world, "GetServiceQuota", told).await.ok().json();
    assert_eq!(&told["Quota"], listing);
    assert_eq!(listing["QuotaArn"], "arn:aws:servicequotas:us-east-1:123456789012:iotcore/L-97DA2C60");
    let level = |level: &str| json!({"ServiceCode": "iotcore", "QuotaCode": "L-97DA2C60", "QuotaAppliedAtLevel": level});
    for (asked, found) in [("ACCOUNT", 1), ("ALL", 1), ("RESOURCE", 0)] {
        let page = quotas(&world, "ListServiceQuotas", level(asked)).await.ok().json();
        assert_eq!(page["Quotas"].as_array().unwrap().len(), found, "{asked}");
    }
}

/// A service or quota that there is not, a page that cannot be and a foreign token are refused in the words of Service Quotas.
#[tokio::test]
async fn what_there_is_not_of_quotas_is_refused() {
    let world = World::start().await;
    let (missing, invalid) = ("NoSuchResourceException", "IllegalArgumentException");
    for (operation, asked, code) in [
        ("ListServiceQuotas", json!({"ServiceCode": "ec2"}), missing),
        ("GetServiceQuota", json!({"ServiceCode": "iotcore", "QuotaCode": "L-00000000"}), missing),
        ("GetServiceQuota", json!({"ServiceCode": "iotcore"}), invalid),
        ("ListServiceQuotas", json!({"ServiceCode": "iotcore", "MaxResults": 101}), invalid),
        ("ListServiceQuotas", json!({"ServiceCode": "iotcore", "MaxResults": 0}), invalid),
        (
            "ListServiceQuotas",
            json!({"ServiceCode": "iotcore", "NextToken": "%"}),
            "InvalidPaginationTokenException",
        ),
    ] {
        let answer = quotas(&world, operation, asked).await;
        assert_eq!(answer.error(), code);
        assert!(answer.json()["Message"].as_str().is_some_and(|message| !message.is_empty()));
    }
}

/// Where the account's rates are kept, each operation has its own, and room again as time goes on.
#[tokio::test]
async fn calls_beyond_the_accounts_rates_are_refused_for_a_while() {
    let world = World::with(|config| config.limits.account_rates = true).await;
    let describe = async || world.iot("GET", "/endpoint", Value::Null).await;
    for _ in 0..10 {
        describe().await.ok();
    }
    let refused = describe().await;
    assert_eq!((refused.status, refused.error()), (400, "ThrottlingException"));
    world.iot("GET", "/things", Value::Null).await.ok();
    world.clock.advance(Duration::from_millis(100));
    describe().await.ok();
    assert_eq!(describe().await.error(), "ThrottlingException");
}
