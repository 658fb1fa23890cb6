//! What was called, how it ended, and what AWS's models know that we do not have: `GET /_fleetkey/coverage`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::routes::{self, Call, Routes};
use super::service::Service;
use super::template::Template;

/// Service, method, path and name of every operation of AWS IoT's and Lambda's models, one a line.
const MODELLED: &str = include_str!("operations.txt");
/// How many operations that are in no table of ours are counted by name; beyond it, callers make names up.
const MAX_NAMES: usize = 1000;
/// The longest name of an operation, with room.
const MAX_NAME: usize = 128;

/// An operation of AWS's models.
#[derive(Debug)]
struct Modelled {
    service: Service,
    method: &'static str,
    template: Template,
    name: &'static str,
}

/// An operation of ours.
type Served = (Service, &'static str);
/// Counts by exception name.
type Refused = BTreeMap<Cow<'static, str>, u64>;

/// How often each operation was called.
#[derive(Debug)]
pub(super) struct Coverage {
    modelled: Vec<Modelled>,
    served: Mutex<BTreeMap<Served, u64>>,
    refused: Mutex<BTreeMap<Served, Refused>>,
    missing: Mutex<BTreeMap<(Service, String), u64>>,
}

impl Coverage {
    /// Nothing called yet.
    pub(super) fn new() -> Self {
        let modelled = MODELLED.lines().filter_map(Modelled::parse).collect();
        Self { modelled, served: Mutex::default(), refused: Mutex::default(), missing: Mutex::default() }
    }

    /// Counts a call of an operation that we have.
    pub(super) fn served(&self, service: Service, name: &'static str) {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        *served.entry((service, name)).or_default() += 1;
    }

    /// Counts a call of an operation that we have and that refused.
    pub(super) fn refused(&self, service: Service, name: &'static str, refusal: &Refusal) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry((service, name)).or_default().entry(refusal.code.clone()).or_default() += 1;
    }

    /// Counts a call of something that we do not have; the refusal names it as well as it can be named.
    ///
    /// 501 is a status that no SDK of AWS's tries again (they do for 500, 502, 503 and 504).
    pub(super) fn refuse(&self, service: Service, call: &Call<'_>) -> Refusal {
        let modelled = self.find(service, call).map(str::to_owned);
        let Some(name) = modelled.or_else(|| routes::named(service, call).filter(|name| is_name(name)))
        else {
            return routes::unknown(service, call);
        };
        self.count_missing(service, &name);
        let service = service.signing_name();
        let message = format!(
            "{name} of {service} is not implemented by the local IoT Core; /_fleetkey/coverage lists what is"
        );
        Refusal::new(501, "NotImplementedException", message)
    }

    fn count_missing(&self, service: Service, name: &str) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if missing.len() < MAX_NAMES {
            *missing.entry((service, name.to_owned())).or_default() += 1;
        } else if let Some(count) = missing.get_mut(&(service, name.to_owned())) {
            *count += 1;
        }
    }

    fn find(&self, service: Service, call: &Call<'_>) -> Option<&'static str> {
        let own = self.modelled.iter().filter(|operation| operation.service == service);
        let fits = own.filter(|operation| {
            operation.method == call.method.as_str() && operation.template.matches(call.path).is_some()
        });
        fits.max_by_key(|operation| operation.template.literals()).map(|operation| operation.name)
    }

    /// By service: every operation that we have with its count, how often each refused and with which exception,
    /// every other one that was called with its count, and how many AWS's model has.
    pub(super) fn report(&self, routes: &Routes) -> Value {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let service = |service: Service| {
            let count = |name| served.get(&(service, name)).copied().unwrap_or_default();
            let names = routes.of(service).iter().map(|route| route.name());
            let implemented: BTreeMap<_, _> = names.map(|name| (name, count(name))).collect();
            let own = refused.iter().filter(|((other, _), _)| *other == service);
            let refused: BTreeMap<_, _> = own.map(|((_, name), codes)| (*name, codes)).collect();
            let own = missing.iter().filter(|((other, _), _)| *other == service);
            let missing: BTreeMap<_, _> = own.map(|((_, name), count)| (name.clone(), *count)).collect();
            let modelled = self.modelled.iter().filter(|operation| operation.service == service).count();
            let modelled = (modelled > 0).then_some(modelled);
            let report = json!({
                "implemented": implemented, "refused": refused, "notImplemented": missing, "modelled": modelled,
            });
            (service.signing_name(), report)
        };
        json!({"services": Service::ALL.into_iter().map(service).collect::<BTreeMap<_, _>>()})
    }
}

impl Modelled {
    fn parse(line: &'static str) -> Option<Self> {
        let mut words = line.split(' ');
        let service = Service::of_scope(words.next()?)?;
        let (method, path, name) = (words.next()?, words.next()?, words.next()?);
        Some(Self { service, method, template: Template::parse(path), name })
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::route::Address;
    use hyper::{HeaderMap, Method};

    fn refused(coverage: &Coverage, service: Service, method: &Method, path: &str) -> Refusal {
        let headers = HeaderMap::new();
        coverage.refuse(service, &Call { method, path, query: "", headers: &headers, body: &[] })
    }

    #[test]
    fn a_modelled_operation_that_is_missing_is_named_and_counted() {
        let coverage = Coverage::new();
        for _ in 0..2 {
            let refusal = refused(&coverage, Service::Iot, &Method::PUT, "/jobs/a");
            assert_eq!((refusal.status, refusal.code.as_ref()), (501, "NotImplementedException"));
            assert!(
                refusal.message.starts_with("CreateJob of iot is not implemented"),
                "{}",
                refusal.message
            );
        }
        let layers = refused(&coverage, Service::Lambda, &Method::GET, "/2018-10-31/layers/a/versions");
        assert!(layers.message.starts_with("ListLayerVersions of lambda is not"), "{}", layers.message);
        let report = coverage.report(&Routes::all());
        assert_eq!(report["services"]["lambda"]["notImplemented"]["ListLayerVersions"], 1);
        assert_eq!(report["services"]["iot"]["notImplemented"]["CreateJob"], 2);
        assert_eq!(report["services"]["iot"]["modelled"], 272);
    }

    #[test]
    fn a_path_of_no_operation_is_named() {
        let refusal = refused(&Coverage::new(), Service::Iot, &Method::GET, "/no/such/thing");
        assert_eq!((refusal.status, refusal.code.as_ref()), (404, "UnknownOperationException"));
        assert!(refusal.message.contains("GET /no/such/thing"), "{}", refusal.message);
    }

    /// A route that AWS's model does not have, or has elsewhere, is a slip of the pen.
    #[test]
    fn every_path_of_ours_is_in_the_model() {
        let (coverage, routes) = (Coverage::new(), Routes::all());
        for service in [Service::Iot, Service::IotData, Service::Lambda] {
            for route in routes.of(service) {
                let Address::Path(method, template) = route.address() else {
                    panic!("{} has no path", route.name());
                };
                let model = coverage
                    .modelled
                    .iter()
                    .find(|operation| operation.service == service && operation.name == route.name());
                let model = model.unwrap_or_else(|| panic!("{} is in no model", route.name()));
                assert_eq!((model.method, &model.template), (method.as_str(), template), "{}", route.name());
            }
        }
    }
}
