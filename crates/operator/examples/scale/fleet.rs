//! A fleet that is made up. Part of the example `scale`, and of `boards` in `crates/testkit`.

use std::time::Duration;

use fleetkey_model::certificate::{CertificateId, CertificateStatus};
use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use fleetkey_operator::inventory::{ListedCertificate, ListedThing, Store};

pub(crate) const DAY: u64 = 86_400;

/// Two certificates a device, the older one INACTIVE, the newer one attested; one device in a hundred has not rotated
/// for a year, and one in a thousand is frozen.
pub(crate) fn filled(devices: u64, now: Timestamp) -> Store {
    let mut store = Store::default();
    for n in 0..devices {
        let name = thing(n);
        let ago = |days: u64| now - Duration::from_secs(days * DAY - n % DAY);
        let listed = |generation: u64, status, days| ListedCertificate {
            id: id(n, generation),
            status,
            created_at: ago(days),
        };
        let days = if n % 100 == 0 { 370 } else { 30 };
        store.listed_certificates(now, &[listed(0, CertificateStatus::Inactive, 380)]);
        store.listed_certificates(now, &[listed(1, CertificateStatus::Active, days)]);
        store.attachments(id(n, 0), std::slice::from_ref(&name));
        store.listed_things(
            now,
            &[ListedThing { name: name.clone(), newest: Some(id(n, 1)), recovered: None }],
        );
        store.witnessed(&name, id(n, 1), now - Duration::from_secs(days * DAY));
        store.frozen(&name, (n % 1000 == 0).then(|| "two take turns".to_owned()));
    }
    store
}

pub(crate) fn thing(n: u64) -> ThingName {
    ThingName::new(format!("press-{n}")).unwrap()
}

pub(crate) fn id(device: u64, generation: u64) -> CertificateId {
    CertificateId::of_der(&[device.to_be_bytes(), generation.to_be_bytes()].concat())
}
