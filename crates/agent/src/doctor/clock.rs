//! What time it is, and whether the device knows.
//!
//! The server's `Date` decides where it is to be had; else the clock is held against what it cannot contradict: the
//! day this program was built, the server's certificate, the device's own.

use std::sync::Arc;
use std::time::Duration;

use fleetkey_model::certificate::CertificateFacts;
use fleetkey_model::time::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Check, Target, Tier};
use crate::clock::{BUILD_TIME, Clock};
use crate::tls::{ClientIdentity, Dialer, Endpoint, Roots};

/// So far the device's clock may be from the server's: certificates are backdated by two minutes, signatures of AWS's
/// APIs bear five.
const SKEW: Duration = Duration::from_secs(5 * 60);
/// HTTPS with a client certificate on the port by ALPN (Developer Guide, protocols).
const ALPN_HTTP: &str = "x-amzn-http-ca";
/// More than a head of an HTTP response has.
const MAX_HEAD: usize = 8 * 1024;

/// What the clock is held against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'a> {
    /// The server's `Date`.
    pub(super) date: Option<Timestamp>,
    /// The span of the server's certificate.
    pub(super) server: Option<(Timestamp, Timestamp)>,
    /// The device's certificate.
    pub(super) own: Option<&'a CertificateFacts>,
}

/// A clock that stands still.
#[derive(Debug, Clone, Copy)]
pub(super) struct At(pub(super) Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// Judges the device's clock.
pub(super) fn judge(now: Timestamp, evidence: &Evidence<'_>) -> Check {
    if let Some(date) = evidence.date {
        return by_date(now, date);
    }
    let wrong = |against: String| {
        Check::failed(Tier::Clock, "clock", format!("the device's clock shows {now}")).why(against).todo(SET)
    };
    if now + SKEW < BUILD_TIME {
        return wrong(format!("this program was built later, at {BUILD_TIME}"));
    }
    if let Some((not_before, not_after)) = evidence.server {
        if now + SKEW < not_before {
            return wrong(format!("the server's certificate begins at {not_before}"));
        }
        if now > not_after {
            return wrong(format!(
                "the server's certificate ended at {not_after}; nobody could be asked for the time"
            ));
        }
    }
    if let Some(own) = evidence.own.filter(|own| now + SKEW < own.not_before) {
        return wrong(format!("the device's own certificate begins at {}", own.not_before));
    }
    Check::ok(Tier::Clock, "clock", format!("{now} is within every certificate's validity"))
        .why("nobody could be asked for the time")
}

const SET: &str = "set it: NTP, or by hand; a device that wakes in 1970 refuses every server";

fn by_date(now: Timestamp, date: Timestamp) -> Check {
    let (ahead, behind) = (now.since(date), date.since(now));
    let (off, side) = if ahead > behind { (ahead, "ahead") } else { (behind, "behind") };
    let off = Duration::from_secs(off.as_secs());
    if off <= SKEW {
        return Check::ok(Tier::Clock, "clock", format!("{off:?} from the server's"));
    }
    let off = humantime::format_duration(off);
    Check::failed(Tier::Clock, "clock", format!("the device's clock shows {now}, the server's {date}"))
        .why(format!("it is {off} {side}"))
        .todo(SET)
}

/// The `Date` of the HTTPS side of a server that is trusted at the moment `at`; `None` where it has none.
pub(super) async fn server_date(
    target: &Target,
    identity: &ClientIdentity,
    at: Timestamp,
) -> Option<Timestamp> {
    let endpoint = Endpoint {
        host: target.endpoint.host.clone(),
        port: target.alpn_port,
        alpn: Some(ALPN_HTTP.to_owned()),
        server_name: target.endpoint.server_name.clone(),
    };
    let host = endpoint.host.clone();
    let roots = Arc::new(Roots::new(target.roots.clone()));
    let dialer = Dialer::new(endpoint, roots, Arc::new(At(at)), target.limit);
    let ask = async {
        let mut stream = dialer.dial(identity).await.ok()?;
        let request = format!("HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
        let mut head = Vec::new();
        while head.len() < MAX_HEAD && stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {}
        date_of(&String::from_utf8_lossy(&head))
    };
    tokio::time::timeout(target.limit, ask).await.ok().flatten()
}

fn date_of(head: &str) -> Option<Timestamp> {
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then_some(value.trim())
    });
    imf_date(value?)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7), the one form that servers send.
fn imf_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let rfc3339 = format!("{year}-{month:02}-{day}T{time}Z");
    let moment = humantime::parse_rfc3339(&rfc3339).ok()?;
    let since = moment.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_secs(since.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    const NOTHING: Evidence<'static> = Evidence { date: None, server: None, own: None };
    const DAY: Duration = Duration::from_secs(86_400);

    fn verdict(now: Timestamp, evidence: Evidence<'_>) -> Verdict {
        judge(now, &evidence).verdict
    }

    #[test]
    fn a_date_is_read_from_a_response_and_nothing_else_is() {
        let head = "HTTP/1.1 403 Forbidden\r\nDATE: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
        assert_eq!(date_of(head), Some(Timestamp::from_secs(784_111_777)));
        for bad in ["", "Date: yesterday", "Date: Sun, 06 Nov", "Date: Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(date_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_servers_date_decides_in_both_directions() {
        let date = BUILD_TIME + DAY;
        let asked = Evidence { date: Some(date), ..NOTHING };
        assert_eq!(verdict(date + Duration::from_secs(60), asked), Verdict::Ok);
        assert_eq!(verdict(date + DAY, asked), Verdict::Failed);
        assert_eq!(verdict(BUILD_TIME, asked), Verdict::Failed);
    }

    #[test]
    fn without_a_date_the_clock_must_not_contradict_what_is_known() {
        let server = Evidence { server: Some((BUILD_TIME, BUILD_TIME + DAY)), ..NOTHING };
        assert_eq!(verdict(Timestamp::from_secs(0), NOTHING), Verdict::Failed);
        assert_eq!(verdict(BUILD_TIME, NOTHING), Verdict::Ok);
        assert_eq!(verdict(BUILD_TIME + DAY / 2, server), Verdict::Ok);
        assert_eq!(verdict(BUILD_TIME + DAY * 2, server), Verdict::Failed);
    }
}
