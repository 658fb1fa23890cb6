//! The first page: which account, and figures.

/// Where the fleet lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// What serves it, for example `local IoT Core`.
    pub name: String,
    /// The endpoint that devices connect to, `host:port`.
    pub endpoint: String,
    /// The account number.
    pub account: String,
    /// The region.
    pub region: String,
}

/// The numbers of the first page. A number that nobody knows is `None` and shown as a dash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Things.
    pub devices: Option<u64>,
    /// Devices connected now, of those of which it is observed.
    pub connected: Option<u64>,
    /// Devices of which it is observed whether they are connected, where that is not all of them.
    pub observed: Option<u64>,
    /// Certificates that may connect.
    pub active: Option<u64>,
    /// Certificates that may not, and could be brought back.
    pub inactive: Option<u64>,
    /// Certificates that never may again.
    pub revoked: Option<u64>,
    /// Rotations under way.
    pub rotating: Option<u64>,
    /// Rotations completed since the start.
    pub rotated: Option<u64>,
    /// Rotations given up since the start.
    pub failed: Option<u64>,
    /// Messages that devices sent.
    pub sent: Option<u64>,
    /// Messages that arrived.
    pub received: Option<u64>,
}

/// One bar of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// What it counts, for example `6–9 s`.
    pub label: String,
    /// How many.
    pub count: u64,
}

/// The first page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overview {
    /// A sentence while the fleet is still being made ready; then `None`.
    pub starting: Option<String>,
    /// Its numbers.
    pub figures: Figures,
    /// Devices by the age of the certificate in use.
    pub ages: Vec<Bar>,
    /// When the age of the first device exceeds what the schedule allows, said in words; for the chart's caption.
    pub ages_caption: String,
    /// Devices that are in no bar of [`Self::ages`], because the certificate in use or its age is not known.
    pub ages_unknown: u64,
    /// Devices by the year in which the certificate in use ends.
    pub expiries: Vec<Bar>,
    /// Devices that are in no bar of [`Self::expiries`], because the certificate in use or its end is not known.
    pub expiries_unknown: u64,
}
