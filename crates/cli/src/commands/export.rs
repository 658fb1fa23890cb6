//! `fleetkey export`: the identity in use of a device as another program wants it.

use anyhow::Result;
use fleetkey_agent::bundle;

use super::device::Device;
use crate::args::ExportArgs;
use crate::output;

pub(super) fn run(args: &ExportArgs) -> Result<()> {
    let device = Device::open(&args.device)?;
    let made = bundle::write(&device.config, args.client, &args.to, args.passphrase_file.as_deref())?;
    made.files.iter().for_each(|file| output::line(&file.display().to_string()));
    output::line(&format!("\n{}", made.sheet.trim_end()));
    Ok(())
}
