//! `device import`: an identity that another program has got becomes the device's first.

use std::path::PathBuf;

use anyhow::Result;
use fleetkey_agent::clock::{Clock, SystemClock};
use fleetkey_agent::import::{Pair, import};

use crate::args::{DeviceArgs, ImportArgs};
use crate::datadir::DataDir;
use crate::output;

pub(super) fn run(args: &DeviceArgs, files: &ImportArgs) -> Result<()> {
    let state_dir = DataDir::existing(&args.data.data_dir)?.device(&args.serial);
    let pair = match (&files.certificate, &files.key, &files.from) {
        (Some(certificate), Some(key), _) => Pair { certificate: certificate.clone(), key: key.clone() },
        (_, _, from) => Pair::find(from.as_deref().unwrap_or(&PathBuf::new()), &args.serial)?,
    };
    let imported = import(&state_dir, &args.serial, &pair, files.any_common_name, SystemClock.now())?;
    let had = if imported.already { "has had" } else { "has taken over" };
    output::line(&format!(
        "{} {had} certificate {} to {}",
        args.serial, imported.certificate, imported.not_after
    ));
    if imported.nameless {
        output::warn(
            "the certificate does not name its device; the broker's registry alone says whose it is",
        );
    }
    Ok(())
}
