//! Every operation there is, and the way to find the one that a request means.

use hyper::{HeaderMap, Method};

use super::refusal::Refusal;
use super::route::{Address, Route};
use super::service::Service;
use super::template::Labels;
use super::text;
use super::{data, iam, iot, lambda, logs, quotas, sts};

/// The operations of all services.
pub(super) struct Routes {
    tables: Vec<(Service, Vec<Route>)>,
}

/// The request line and what else names an operation.
pub(super) struct Call<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

/// A service's table of operations.
fn table(service: Service) -> Vec<Route> {
    match service {
        Service::Iot => iot::routes(),
        Service::Iam => iam::routes(),
        Service::Sts => sts::routes(),
        Service::Lambda => lambda::routes(),
        Service::Logs => logs::routes(),
        Service::Quotas => quotas::routes(),
        Service::IotData => data::routes(),
    }
}

impl Routes {
    /// The operations that this program has.
    pub(super) fn all() -> Self {
        Self { tables: Service::ALL.into_iter().map(|service| (service, table(service))).collect() }
    }

    /// The operations of a service.
    pub(super) fn of(&self, service: Service) -> &[Route] {
        let table = self.tables.iter().find(|(other, _)| *other == service);
        table.map_or(&[], |(_, routes)| routes)
    }

    /// The operation that a call to a service means, with what its path says. Of several, the one whose path is
    /// the most literal: `/things/x/principals` before `/things/{a}/{b}`.
    pub(super) fn find(&self, service: Service, call: &Call<'_>) -> Option<(&Route, Labels)> {
        let named = named(service, call);
        let fits = |route: &Route| match route.address() {
            Address::Path(method, template) if method == call.method => {
                template.matches(call.path).map(|labels| (template.literals(), labels))
            }
            Address::Path(..) => None,
            Address::Action | Address::Target => {
                (named.as_deref() == Some(route.name())).then(|| (0, Labels::new()))
            }
        };
        let candidates = self.of(service).iter().filter_map(|route| Some((route, fits(route)?)));
        let (route, (_, labels)) = candidates.max_by_key(|(_, (literals, _))| *literals)?;
        Some((route, labels))
    }
}

/// The operation's name where the request spells it out.
pub(super) fn named(service: Service, call: &Call<'_>) -> Option<String> {
    match service {
        Service::Iot | Service::IotData | Service::Lambda => None,
        Service::Logs | Service::Quotas => {
            let target = call.headers.get("x-amz-target")?.to_str().ok()?;
            target.rsplit('.').next().map(str::to_owned)
        }
        Service::Iam | Service::Sts => {
            let form = std::str::from_utf8(call.body).ok().and_then(text::form_pairs)?;
            let query = text::query_pairs(call.query)?;
            let action = form.into_iter().chain(query).find(|(name, _)| name == "Action");
            action.map(|(_, value)| value)
        }
    }
}

/// What is said when no operation is meant.
pub(super) fn unknown(service: Service, call: &Call<'_>) -> Refusal {
    let name = service.signing_name();
    let short = |text: &str| text.chars().take(256).collect::<String>();
    match (named(service, call), service) {
        (Some(action), Service::Iam | Service::Sts) => {
            let message = format!("Could not find operation {} of {name}", short(&action));
            Refusal::new(400, "InvalidAction", message)
        }
        (Some(target), _) => Refusal::new(
            400,
            "UnknownOperationException",
            format!("{name} has no operation {}", short(&target)),
        ),
        (None, _) => {
            let message = format!("{name} has no operation at {} {}", call.method, short(call.path));
            Refusal::new(404, "UnknownOperationException", message)
        }
    }
}
