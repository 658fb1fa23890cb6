//! Clients for other devices: one place where clients come in may serve several things, each with an agent of its own.
//!
//! Who is meant follows from CONNECT, by client id or user name. The connection is then passed to the unix socket that the
//! other agent's sidecar listens on, byte by byte; that agent does everything else, with its own identity. It is on this
//! machine, so what a rotation replaces lies behind it, and this pipe notices nothing of it.

use std::io;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use fleetkey_mqtt::{Connect, Packet, ReasonCode, encode};
use tokio::io::{AsyncWriteExt as _, copy};
use tokio::net::UnixStream;

use super::wire::{Arrived, refuse};

/// Which clients are whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The client id that the client gives; any if there is none.
    pub client_id: Option<String>,
    /// The user name that it gives; any if there is none. Where it came in by TLS its password has been checked.
    pub user: Option<String>,
    /// The unix socket of the sidecar that serves it.
    pub to: PathBuf,
}

impl Route {
    fn is_for(&self, connect: &Connect) -> bool {
        let is =
            |wanted: Option<&str>, given: Option<&str>| wanted.is_none_or(|wanted| given == Some(wanted));
        is(self.client_id.as_deref(), Some(&*connect.client_id))
            && is(self.user.as_deref(), connect.username.as_deref())
    }
}

/// Where a client belongs, if not here: what the first route that fits says.
pub(super) fn route<'a>(routes: &'a [Route], connect: &Connect) -> Option<&'a Path> {
    routes.iter().find(|route| route.is_for(connect)).map(|route| route.to.as_path())
}

/// Passes a client on until either side ends it. Name and password stay here: they were for us.
pub(super) async fn pass(arrived: Arrived, to: &Path) -> io::Result<()> {
    let Arrived { mut connect, mut reader, mut writer, rest, .. } = arrived;
    let other = match UnixStream::connect(to).await {
        Ok(other) => other,
        Err(error) => {
            refuse(&mut writer, connect.version, ReasonCode::SERVER_UNAVAILABLE).await?;
            return Err(io::Error::new(error.kind(), format!("{}: {error}", to.display())));
        }
    };
    (connect.username, connect.password) = (None, None);
    let version = connect.version;
    let mut first = BytesMut::new();
    encode(&Packet::Connect(connect), version, &mut first).map_err(io::Error::other)?;
    first.unsplit(rest);
    let (mut from, mut into) = other.into_split();
    into.write_all(&first).await?;
    let up = async {
        copy(&mut reader, &mut into).await?;
        into.shutdown().await
    };
    let down = async {
        copy(&mut from, &mut writer).await?;
        writer.shutdown().await
    };
    tokio::pin!(down);
    // A client that says nothing more may still be told something; the other way round nothing follows.
    tokio::select! {
        done = &mut down => done,
        done = up => {
            done?;
            down.await
        }
    }
}

#[cfg(test)]
mod tests {
    use fleetkey_mqtt::Version;

    use super::*;

    #[test]
    fn the_first_route_that_fits_in_everything_it_says_is_taken() {
        let of = |client_id: Option<&str>, user: Option<&str>, to: &str| Route {
            client_id: client_id.map(str::to_owned),
            user: user.map(str::to_owned),
            to: to.into(),
        };
        let routes = [
            of(Some("plc"), Some("ann"), "both"),
            of(Some("plc"), None, "id"),
            of(None, Some("ann"), "user"),
        ];
        let to = |id: &str, user: Option<&str>| {
            let connect = Connect { username: user.map(Into::into), ..Connect::new(Version::V5, id) };
            route(&routes, &connect).map(|to| to.to_str().unwrap().to_owned())
        };
        assert_eq!(to("plc", Some("ann")).as_deref(), Some("both"));
        assert_eq!(to("plc", None).as_deref(), Some("id"));
        assert_eq!(to("other", Some("ann")).as_deref(), Some("user"));
        assert_eq!(to("other", None), None);
    }
}
