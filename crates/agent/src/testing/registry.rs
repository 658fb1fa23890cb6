//! What the test broker knows: certificates and who is connected; and its answers to requests.

use std::collections::{BTreeMap, BTreeSet};

use der::{DecodePem, Encode};
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::provisioning::{
    CertificateIssued, CreateFromCsrRequest, RegisterThingRequest, SERIAL_PARAMETER, ThingRegistered,
};
use fleetkey_model::retirement::{ControllerAnswer, DeviceRequest, RetireStatus};
use fleetkey_model::secret::{OwnershipToken, PrivateKeyPem};
use fleetkey_model::topic::{FleetTopic, Format, Leg, ReservedTopic};
use fleetkey_mqtt::Packet;
use tokio::sync::mpsc;
use x509_cert::request::CertReq;

use crate::keys::testing::signed;
use crate::keys::{Keys, P256Keys};

/// One connection, as the others reach it.
pub(crate) struct Connection {
    pub(super) number: u64,
    pub(super) out: mpsc::Sender<Packet>,
    pub(crate) filters: BTreeSet<String>,
}

/// What happened, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Connected { client: String, principal: CertificateId },
    Closed { client: String, principal: CertificateId },
    Refused { client: String, principal: CertificateId },
    RefusedInTls { principal: CertificateId },
    Muted { client: String, principal: CertificateId },
    Published { client: String, topic: String, payload: Vec<u8>, principal: CertificateId },
}

pub(crate) struct Registry {
    issuer: PrivateKeyPem,
    pub(super) pending: BTreeSet<CertificateId>,
    pub(super) active: BTreeSet<CertificateId>,
    pub(crate) connections: BTreeMap<String, Connection>,
    pub(super) seen: Vec<Seen>,
    pub(super) numbers: u64,
    /// The certificates that finish TLS as often as they like, and those that have had their one time.
    regulars: Option<(BTreeSet<CertificateId>, BTreeSet<CertificateId>)>,
    /// RegisterThing leaves the certificate inactive from now on: every candidate is refused.
    pub(crate) activates: bool,
    /// How many of the next CONNECTs with the id of a connected client are refused.
    pub(crate) refuse_takeovers: usize,
    /// How many of the next such CONNECTs are not answered at all.
    pub(crate) mute_takeovers: usize,
    /// The packet identifiers of messages that a client has acknowledged.
    pub(crate) acknowledged: BTreeSet<u16>,
    /// Whether a retire request is answered.
    pub(crate) answers_retire: bool,
    /// How many of the next PUBACKs for business messages are not sent.
    pub(crate) silent: usize,
    /// A message, topic and payload, that comes before the next answer to a subscription of a proof.
    pub(crate) before_proof: Option<(String, Vec<u8>)>,
    /// Its packet identifier, once it was sent.
    pub(crate) sent_before_proof: Option<u16>,
    /// How many of the next subscriptions of a proof are not answered.
    pub(crate) mute_proofs: usize,
}

impl Registry {
    pub(super) fn new(claim: CertificateId) -> Self {
        Self {
            issuer: P256Keys.generate().unwrap(),
            pending: BTreeSet::new(),
            active: BTreeSet::from([claim]),
            connections: BTreeMap::new(),
            seen: Vec::new(),
            numbers: 0,
            regulars: None,
            activates: true,
            refuse_takeovers: 0,
            mute_takeovers: 0,
            acknowledged: BTreeSet::new(),
            answers_retire: true,
            silent: 0,
            before_proof: None,
            sent_before_proof: None,
            mute_proofs: 0,
        }
    }

    /// Takes a certificate of the test's own for one of the thing's.
    pub(crate) fn accept(&mut self, certificate: CertificateId) {
        self.active.insert(certificate);
    }

    /// Certificates that become active from now on finish TLS once, which is enough for a proof, and never again.
    pub(crate) fn refuse_newcomers_in_tls(&mut self) {
        self.regulars = Some((self.active.clone(), BTreeSet::new()));
    }

    /// Whether a certificate may finish TLS this time.
    pub(super) fn finishes_tls(&mut self, certificate: CertificateId) -> bool {
        let Some((regulars, once)) = &mut self.regulars else { return true };
        let finishes = regulars.contains(&certificate) || once.insert(certificate);
        if !finishes {
            self.seen.push(Seen::RefusedInTls { principal: certificate });
        }
        finishes
    }

    /// Accepts no certificate any more.
    pub(crate) fn refuse_all(&mut self) {
        self.active.clear();
    }

    /// The answer to a publish on one of the topics that the cloud serves: where and what.
    pub(super) fn answer(
        &mut self,
        principal: CertificateId,
        topic: &str,
        payload: &[u8],
    ) -> Option<(String, Vec<u8>)> {
        match ReservedTopic::parse(topic) {
            Some(ReservedTopic::CreateFromCsr(Format::Json, Leg::Request)) => {
                let accepted = ReservedTopic::CreateFromCsr(Format::Json, Leg::Accepted);
                Some((accepted.to_string(), self.issue(payload)))
            }
            Some(ReservedTopic::RegisterThing(template, Format::Json, Leg::Request)) => {
                let accepted = ReservedTopic::RegisterThing(template, Format::Json, Leg::Accepted);
                Some((accepted.to_string(), self.register(payload)))
            }
            _ => match FleetTopic::parse(topic) {
                Some(FleetTopic::Requests(thing)) if self.answers_retire => {
                    Some((FleetTopic::Answers(thing).to_string(), retire(principal, payload)))
                }
                _ => None,
            },
        }
    }

    fn issue(&mut self, payload: &[u8]) -> Vec<u8> {
        let request: CreateFromCsrRequest = serde_json::from_slice(payload).unwrap();
        let csr = CertReq::from_pem(&request.certificate_signing_request).unwrap();
        let (der, pem) = signed("device", &csr.info.public_key.to_der().unwrap(), &self.issuer);
        let id = CertificateId::of_der(&der);
        self.pending.insert(id);
        let issued = CertificateIssued {
            certificate_id: id,
            certificate_pem: pem,
            private_key: None,
            certificate_ownership_token: OwnershipToken::new(id.to_string()),
        };
        serde_json::to_vec(&issued).unwrap()
    }

    fn register(&mut self, payload: &[u8]) -> Vec<u8> {
        let request: RegisterThingRequest = serde_json::from_slice(payload).unwrap();
        let id: CertificateId = request.certificate_ownership_token.expose().parse().unwrap();
        assert!(self.pending.remove(&id), "the token is of a pending certificate");
        if self.activates {
            self.active.insert(id);
        }
        let serial = request.parameters.get(SERIAL_PARAMETER).unwrap();
        let answer = ThingRegistered {
            device_configuration: BTreeMap::new(),
            thing_name: Some(serial.parse().unwrap()),
        };
        serde_json::to_vec(&answer).unwrap()
    }
}

fn retire(principal: CertificateId, payload: &[u8]) -> Vec<u8> {
    let request: DeviceRequest = serde_json::from_slice(payload).unwrap();
    let answer = ControllerAnswer {
        op: request.op,
        id: request.id,
        status: RetireStatus::Retired,
        witness: Some(principal),
        retired: vec![],
        message: None,
    };
    serde_json::to_vec(&answer).unwrap()
}
