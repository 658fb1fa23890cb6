//! The flags of the dashboard: where it is served, and with which certificate.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// The dashboard.
#[derive(Debug, Clone, Args)]
pub(crate) struct DashboardArgs {
    /// Serve the dashboard on this address and port; port 0 takes any free one. The link that opens it is printed at the
    /// start. Other addresses than loopback need a certificate.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub(crate) dashboard: SocketAddr,
    /// Serve no dashboard.
    #[arg(long, conflicts_with_all = ["dashboard", "dashboard_certificate"])]
    pub(crate) no_dashboard: bool,
    /// Serve the dashboard over TLS with this certificate and the chain behind it, PEM. It is opened by the names and
    /// addresses in it.
    #[arg(long, value_name = "FILE", requires = "dashboard_key")]
    pub(crate) dashboard_certificate: Option<PathBuf>,
    /// The private key of that certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "dashboard_certificate")]
    pub(crate) dashboard_key: Option<PathBuf>,
}
