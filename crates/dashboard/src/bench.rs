//! Devices on the bench: run in the process that serves the pages, to try by hand what a fleet does by itself. Provision,
//! connect, publish and subscribe, rotate, rotate by itself.

use std::time::Duration;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::SerialNumber;
use fleetkey_model::time::Timestamp;

use crate::fleet::Answer;

/// The bench.
pub trait Bench: Send + Sync + 'static {
    /// The devices on it, by their serial numbers.
    fn devices(&self) -> Vec<BenchDevice>;

    /// One of them; one that was never used is there too, with nothing on it.
    fn device(&self, serial: &SerialNumber) -> BenchDevice;

    /// Carries an order out, on behalf of `by`, and waits until it is done.
    fn perform<'a>(&'a self, serial: &'a SerialNumber, order: BenchOrder, by: &'a str) -> Answer<'a>;
}

/// What can be ordered of a device on the bench.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BenchOrder {
    /// Get a first identity by claim certificate.
    Provision,
    /// Run its agent: connect with the identity, and stay connected.
    Connect,
    /// Stop its agent.
    Disconnect,
    /// Publish a message at QoS 1 and wait for its acknowledgement.
    Publish {
        /// Where; begins with [`BenchDevice::prefix`].
        topic: String,
        /// What.
        payload: String,
    },
    /// Hear messages from now on; they come into the log.
    Subscribe {
        /// Which; begins with [`BenchDevice::prefix`].
        filter: String,
    },
    /// Get a new certificate, prove it, move over, have the old one retired.
    Rotate,
    /// Rotate by itself from now on.
    Automatic(Automatic),
    /// Rotate on order only.
    Manual,
}

/// When a device rotates by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Automatic {
    /// How often it looks.
    pub every: Duration,
    /// It rotates when less than this is left of the certificate's term.
    pub before: Duration,
}

/// A device on the bench.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenchDevice {
    /// Its serial number, which names its thing.
    pub serial: SerialNumber,
    /// Its certificates, oldest first; the last is in use. None before it is provisioned.
    pub certificates: Vec<CertificateId>,
    /// When the one in use ends.
    pub not_after: Option<Timestamp>,
    /// Whether its agent runs.
    pub running: bool,
    /// Whether it is connected.
    pub connected: bool,
    /// What it has subscribed to.
    pub filters: Vec<String>,
    /// When it rotates by itself, if it does.
    pub automatic: Option<Automatic>,
    /// What its topics begin with, the last `/` included.
    pub prefix: String,
    /// What happened, newest last.
    pub log: Vec<LogLine>,
}

/// A line of a device's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// What.
    pub words: String,
}
