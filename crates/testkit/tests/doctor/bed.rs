//! A local IoT Core with a device on its record, and the doctor at hand.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleetkey_agent::clock::Clock as _;
use fleetkey_agent::doctor::{Account, Examination, Report, Target, Tier};
use fleetkey_agent::keys::{Keys, P256Keys};
use fleetkey_agent::tls::Endpoint;
use fleetkey_cli::diagnosis::{Questions, ask};
use fleetkey_iotcore::clock::{Clock, SystemClock};
use fleetkey_iotcore::config::Config;
use fleetkey_model::certificate::{CertificateId, ThingPrincipalType};
use fleetkey_model::name::{ClientId, PolicyName, SerialNumber, ThingName};
use fleetkey_model::time::Timestamp;
use fleetkey_model::topic::TopicRoot;
use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::diagnosis::{Records, Standing, ThingRecord};
use fleetkey_testkit::wait::within;
use fleetkey_testkit::{Bench, Identity};

/// Longer than anything takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(50);
/// The device of every test.
pub(crate) const THING: &str = "pump-1";

pub(crate) struct Bed {
    pub(crate) bench: Bench,
    pub(crate) id: CertificateId,
    pub(crate) target: Target,
}

/// Whether the account is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Account,
    Nobody,
}

impl Bed {
    /// A device that can connect: registered, ACTIVE, attached exclusively, under the shipped policy, CN = thing.
    pub(crate) async fn healthy() -> Self {
        let bed = Self::unattached().await;
        bed.attach().await;
        bed.allow().await;
        bed
    }

    /// The same on a local IoT Core of the caller's making.
    pub(crate) async fn healthy_on(adjust: impl FnOnce(&mut Config)) -> Self {
        let bench = Bench::start_with(Arc::new(SystemClock), adjust).await;
        let bed = Self::on(bench, THING).await;
        bed.attach().await;
        bed.allow().await;
        bed
    }

    /// A device whose certificate names another.
    pub(crate) async fn named(common_name: &str) -> Self {
        let bed = Self::on(Bench::start().await, common_name).await;
        bed.attach().await;
        bed.allow().await;
        bed
    }

    /// A device whose certificate is registered and ACTIVE, and nothing more.
    pub(crate) async fn unattached() -> Self {
        Self::on(Bench::start().await, THING).await
    }

    /// The same on this bench, by a CSR with this common name.
    pub(crate) async fn on(bench: Bench, common_name: &str) -> Self {
        let key = P256Keys.generate().unwrap();
        let csr = P256Keys.request(&key, &SerialNumber::new(common_name).unwrap()).unwrap();
        let minted = bench.core.account().create_certificate_from_csr(&csr, true).await.unwrap();
        let identity = Identity { key, chain: minted.pem };
        Self::with(bench, minted.facts.id, &identity)
    }

    /// With an identity of the caller's.
    pub(crate) fn with(bench: Bench, id: CertificateId, identity: &Identity) -> Self {
        let thing = ThingName::new(THING).unwrap();
        let endpoint = Endpoint {
            host: bench.core.endpoint().to_owned(),
            port: bench.core.ports().mqtt,
            alpn: None,
            server_name: None,
        };
        let target = Target {
            endpoint,
            sni: true,
            alpn_port: bench.core.ports().alpn,
            certificate: write(&bench, "doctor.cert.pem", &identity.chain),
            key: write(&bench, "doctor.key.pem", identity.key.expose()),
            roots: vec![bench.core.root_ca_path().to_owned()],
            known_roots: None,
            previous: None,
            client: ClientId::live(&thing),
            topic: TopicRoot::default().verification(&thing),
            thing,
            take_over: false,
            busy: None,
            limit: LIMIT,
        };
        Self { bench, id, target }
    }

    /// Makes the thing, if there is none, and attaches the certificate to it alone.
    pub(crate) async fn attach(&self) {
        let account = self.bench.core.account();
        account.create_thing(&self.target.thing, None, BTreeMap::new()).await.unwrap();
        let exclusive = ThingPrincipalType::ExclusiveThing;
        account.attach_thing_principal(&self.target.thing, &self.id, exclusive).await.unwrap();
    }

    /// Attaches the shipped device policy.
    pub(crate) async fn allow(&self) {
        let policy = &self.bench.fleet.names.device_policy;
        self.bench.core.account().attach_policy(policy, &self.id).await.unwrap();
    }

    /// Attaches a policy of one statement.
    pub(crate) async fn add(&self, effect: &str, action: &str, resource: &str) {
        let account = self.bench.core.account();
        let name = PolicyName::new("added").unwrap();
        let resource = match resource {
            "*" => resource.to_owned(),
            tail => self.bench.fleet.scope.arn(tail),
        };
        let statement = format!(r#"{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}"#);
        let document = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
        account.create_policy(&name, &document).await.unwrap();
        account.attach_policy(&name, &self.id).await.unwrap();
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        write(&self.bench, name, text)
    }

    /// What the doctor says now.
    pub(crate) async fn report(&self, asked: Asked) -> Report {
        self.report_at(fleetkey_agent::SystemClock.now(), asked).await
    }

    /// What it says by a device's clock.
    pub(crate) async fn report_at(&self, now: Timestamp, asked: Asked) -> Report {
        let examination = Examination::begin(self.target.clone(), now);
        let account = match (asked, examination.certificate()) {
            (Asked::Account, Some(facts)) => {
                let questions = self.questions();
                ask(&Registry(&self.bench), &self.bench.fleet.scope, facts.id, &questions).await.unwrap()
            }
            _ => Account::silent("the test asks nobody"),
        };
        within("the doctor", examination.run(&account)).await
    }

    /// The tier that is found to be at fault, which must be `expected`, with and without these words.
    #[track_caller]
    pub(crate) fn faults(report: &Report, expected: Tier, words: &str) {
        let Some(failed) = report.failed() else { panic!("nothing fails:\n{report}") };
        assert_eq!(failed.tier, expected, "\n{report}");
        assert!(failed.to_string().contains(words), "{words:?} is not in\n{report}");
        assert!(failed.todo.is_some(), "what to do?\n{report}");
        assert!(!report.to_string().contains("PRIVATE KEY"));
    }

    fn questions(&self) -> Questions {
        Questions {
            thing: self.target.thing.clone(),
            client: self.target.client.clone(),
            topic: self.target.topic.clone(),
            publishes: Vec::new(),
            subscribes: Vec::new(),
        }
    }
}

fn write(bench: &Bench, name: &str, text: &str) -> PathBuf {
    let path = bench.path(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// The registry in this process, where a program would ask over the SDK.
struct Registry<'a>(&'a Bench);

impl Records for Registry<'_> {
    async fn standing(&self, certificate: &CertificateId, thing: &ThingName) -> Result<Standing, ApiError> {
        let account = self.0.core.account();
        let thing = account.describe_thing(thing).ok().map(|thing| ThingRecord {
            type_name: thing.type_name.map(|name| name.as_str().to_owned()),
            attributes: thing.attributes,
        });
        let Ok(record) = account.describe_certificate(certificate) else {
            return Ok(Standing { thing, ..Standing::default() });
        };
        let document = |name: &PolicyName| account.describe_policy(name).unwrap().text;
        Ok(Standing {
            status: Some(record.status),
            policies: record.policies.iter().map(|name| (name.to_string(), document(name))).collect(),
            attached: record.things,
            thing,
        })
    }
}

/// A clock an hour behind: what is valid for minutes by it has expired.
#[derive(Debug)]
pub(crate) struct HourAgo;

impl Clock for HourAgo {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().as_millis() - 3_600_000)
    }
}
