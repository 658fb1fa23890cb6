//! What a local account and its templates are called.

use clap::Args;
use fleetkey_model::arn::Scope;
use fleetkey_model::name::TemplateName;

/// Region and templates.
#[derive(Debug, Clone, Args)]
pub(crate) struct NameArgs {
    /// The region that the local IoT Core is; without it the data directory's last one, at first us-east-1.
    #[arg(long, value_name = "REGION", env = "AWS_REGION", value_parser = scope)]
    pub(crate) region: Option<Scope>,
    /// The name of the claim template; the others are called after it.
    #[arg(long, value_name = "NAME", env = "IOT_TEMPLATE_NAME")]
    pub(crate) template_name: Option<TemplateName>,
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::local_in(text).ok_or_else(|| "no region is called so; eu-central-1 is one".to_owned())
}
