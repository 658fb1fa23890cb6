//! `fleetkey rotate-claim` and `fleetkey temporary-claim`.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use fleetkey_aws::permit::Command;
use fleetkey_operator::files;
use serde_json::json;

use super::{Desk, print_iam};
use crate::args::{RotateClaimArgs, TemporaryClaimArgs};
use crate::ignore;

/// Exchanges the claim certificate: the new one takes the old one's place on disk, the old one is removed.
pub(crate) async fn rotate(args: RotateClaimArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        return print_iam(&[Command::RotateClaim], &args.account, |settings| settings).await;
    }
    let desk = Desk::open(&args.account, |settings| settings).await?;
    let mut operator = desk.operator(false).await?;
    let wanted = desk.wanted(&operator)?;
    let rotated = operator.rotate_claim(&wanted.fleet).await?;
    let (id, replaced) = (rotated.claim.id, rotated.replaced);
    let words = match replaced {
        Some(old) => format!("claim {} takes the place of {}, which is gone", id.short(), old.short()),
        None => format!("claim {} made; there was none", id.short()),
    };
    let fields = json!({ "id": id, "replaced": replaced, "certificate": rotated.claim.certificate });
    desk.conclude("claim", &fields, &words);
    Ok(ExitCode::SUCCESS)
}

/// Has a claim made that ends after five minutes.
pub(crate) async fn temporary(args: TemporaryClaimArgs) -> Result<ExitCode> {
    if args.account.print_iam {
        return print_iam(&[Command::TemporaryClaim], &args.account, |settings| settings).await;
    }
    ensure!(!args.out.exists(), "{} exists; name a directory that does not", args.out.display());
    let desk = Desk::open(&args.account, |settings| settings).await?;
    let mut operator = desk.operator(false).await?;
    let wanted = desk.wanted(&operator)?;
    let claim = operator.temporary_claim(&wanted.fleet.names.claim_template).await?;
    files::make_directory(&args.out)?;
    ignore::everything_in(&args.out)?;
    files::write(&args.out.join("key.pem"), claim.private_key.expose().as_bytes(), files::PRIVATE)?;
    let certificate = args.out.join("certificate.pem");
    files::write(&certificate, claim.pem.as_bytes(), files::PUBLIC)?;
    let words = format!("claim {} in {} until {}", claim.id.short(), args.out.display(), claim.expires);
    let fields = json!({ "id": claim.id, "certificate": certificate, "expires": claim.expires.to_string() });
    desk.conclude("claim", &fields, &words);
    Ok(ExitCode::SUCCESS)
}
