//! What a local account, its templates and its topics are called. An empty variable counts as none.

use anyhow::{Context, Result};
use clap::Args;
use fleetkey_model::arn::Scope;
use fleetkey_model::name::TemplateName;
use fleetkey_model::topic::TopicRoot;

/// Region, templates and topics.
#[derive(Debug, Clone, Args)]
pub(crate) struct NameArgs {
    /// The region that the local IoT Core is; without it the data directory's last one, at first us-east-1.
    #[arg(long, value_name = "REGION", env = "AWS_REGION")]
    region: Option<String>,
    /// The name of the claim template; the others are called after it.
    #[arg(long, value_name = "NAME", env = "IOT_TEMPLATE_NAME")]
    template_name: Option<String>,
    /// The first levels of the devices' own topics, which lie under TOPIC/THING; by default device.
    #[arg(long, value_name = "TOPIC", value_parser = super::device::topic_root)]
    topic_root: Option<TopicRoot>,
}

impl NameArgs {
    /// The account in the region that was given.
    ///
    /// # Errors
    /// When no region is called so.
    pub(crate) fn scope(&self) -> Result<Option<Scope>> {
        let scope = |region: &String| {
            Scope::local_in(region)
                .with_context(|| format!("--region {region:?}: no region is called so; eu-central-1 is one"))
        };
        given(self.region.as_ref()).map(scope).transpose()
    }

    /// The claim template's name that was given.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn template(&self) -> Result<Option<TemplateName>> {
        let name = |name: &String| {
            TemplateName::new(name.as_str()).with_context(|| format!("--template-name {name:?}"))
        };
        given(self.template_name.as_ref()).map(name).transpose()
    }

    /// Under which levels the devices' own topics lie.
    pub(crate) fn topic_root(&self) -> TopicRoot {
        self.topic_root.clone().unwrap_or_default()
    }
}

fn given(text: Option<&String>) -> Option<&String> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_none_and_a_wrong_one_says_so() {
        let names = |region: &str, template: &str| NameArgs {
            region: Some(region.to_owned()),
            template_name: Some(template.to_owned()),
            topic_root: None,
        };
        let empty = names("", "");
        assert!(empty.scope().unwrap().is_none() && empty.template().unwrap().is_none());
        let good = names("eu-central-1", "Presses");
        assert_eq!(good.scope().unwrap().unwrap().region, "eu-central-1");
        assert_eq!(good.template().unwrap().unwrap().as_str(), "Presses");
        let bad = names("nowhere", "a b");
        assert!(format!("{:#}", bad.scope().unwrap_err()).contains("nowhere"));
        assert!(format!("{:#}", bad.template().unwrap_err()).contains("a b"));
    }
}
