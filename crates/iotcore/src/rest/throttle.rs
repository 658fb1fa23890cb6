//! The account's rates of calls, where they are kept: each operation has its own (AWS IoT Core endpoints and quotas).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use fleetkey_model::time::Timestamp;

use super::Refusal;
use super::quotas::rate_of;
use super::service::Service;
use crate::bucket::Bucket;

/// How many clients are kept before those are forgotten that nothing was asked of within the last second.
const CLIENTS: usize = 1000;

/// What was called within the last second.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    operations: BTreeMap<(Service, &'static str), Bucket>,
    clients: BTreeMap<(&'static str, String), Bucket>,
}

impl Throttle {
    /// Lets a call in, or refuses it; one about a connection names its client, each of which has a rate, too. What has no
    /// quota is never refused.
    pub(super) fn admit(
        &self,
        (service, operation): (Service, &'static str),
        client: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Some(rate) = rate_of(service, operation) else {
            return Ok(());
        };
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = buckets.operations.entry((service, operation)).or_default().take(rate, now);
        let of_client = client.filter(|_| has_room && service == Service::IotData);
        if has_room && of_client.is_none_or(|client| buckets.take_of(operation, client, now)) {
            Ok(())
        } else {
            Err(refusal(service))
        }
    }
}

impl Buckets {
    /// One call a second of each operation and client id (AWS IoT Core quotas: DeleteConnection, GetConnection,
    /// ListSubscriptions).
    fn take_of(&mut self, operation: &'static str, client: &str, now: Timestamp) -> bool {
        if self.clients.len() >= CLIENTS {
            self.clients.retain(|_, bucket| bucket.is_in_use(now));
        }
        self.clients.entry((operation, client.to_owned())).or_default().take(1, now)
    }
}

/// The models of the two services name the same exception with another status.
fn refusal(service: Service) -> Refusal {
    let status = if service == Service::IotData { 429 } else { 400 };
    Refusal::new(status, "ThrottlingException", "Rate exceeded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_its_own_rate_and_what_has_none_is_let_in() {
        let throttle = Throttle::default();
        let now = Timestamp::from_secs(1);
        let let_in = |service, operation| {
            (0..400).filter(|_| throttle.admit((service, operation), None, now).is_ok()).count()
        };
        assert_eq!(let_in(Service::Iot, "DescribeCertificate"), 10);
        assert_eq!(let_in(Service::Iot, "DescribeThing"), 350);
        assert_eq!(let_in(Service::IotData, "GetConnection"), 100);
        assert_eq!(let_in(Service::Iam, "CreateRole"), 400);
        let refused = |service, operation| throttle.admit((service, operation), None, now).unwrap_err();
        let of_control = refused(Service::Iot, "DescribeCertificate");
        assert_eq!((of_control.status, &*of_control.code), (400, "ThrottlingException"));
        assert_eq!(refused(Service::IotData, "GetConnection").status, 429);
    }
    #[test]
    fn of_one_client_a_second_one_call_of_each_operation_is_let_in() {
        let throttle = Throttle::default();
        let ask = |operation, client: &str, at| {
            throttle.admit((Service::IotData, operation), Some(client), Timestamp::from_millis(at)).is_ok()
        };
        assert!(
            ask("GetConnection", "a", 1000)
                && ask("DeleteConnection", "a", 1000)
                && ask("GetConnection", "b", 1000)
        );
        assert!(!ask("GetConnection", "a", 1900) && ask("GetConnection", "a", 2000));
        for number in 0..3 * u64::try_from(CLIENTS).unwrap() {
            assert!(ask("GetConnection", &format!("c-{number}"), 10_000 + number * 20));
        }
        assert!(throttle.0.lock().unwrap().clients.len() <= CLIENTS);
    }
}
