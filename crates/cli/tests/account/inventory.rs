//! All that there is in an account, listed over HTTP by the official SDK's own clients: none of our code, so that it
//! can bear witness to it.

use std::collections::BTreeMap;

use aws_sdk_iot::config::{BehaviorVersion, Credentials, Region};

use crate::core::Core;

/// What there is: a name for it, and what it is like.
pub(crate) type Inventory = BTreeMap<String, String>;

/// A policy that somebody else has made.
pub(crate) const THEIRS: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}"#;

/// The services' clients.
pub(crate) struct Clients {
    pub(crate) iot: aws_sdk_iot::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) lambda: aws_sdk_lambda::Client,
    pub(crate) logs: aws_sdk_cloudwatchlogs::Client,
    runtime: tokio::runtime::Runtime,
}

/// Makes a client of one of the SDK's crates; they share no trait.
macro_rules! client {
    ($sdk:ident, $core:expr) => {{
        let key = $core.key();
        let secret = key.secret_access_key.expose();
        let config = $sdk::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url($core.url())
            .credentials_provider(Credentials::new(&key.access_key_id, secret, None, None, "test"))
            .build();
        $sdk::Client::from_conf(config)
    }};
}

impl Clients {
    pub(crate) fn of(core: &Core) -> Self {
        Self {
            iot: client!(aws_sdk_iot, core),
            iam: client!(aws_sdk_iam, core),
            lambda: client!(aws_sdk_lambda, core),
            logs: client!(aws_sdk_cloudwatchlogs, core),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        }
    }

    /// Everything in the account. Ids of certificates differ from run to run and are left out.
    pub(crate) fn inventory(&self) -> Inventory {
        self.runtime.block_on(async {
            let mut all = Inventory::new();
            self.policies(&mut all).await;
            self.certificates(&mut all).await;
            self.things(&mut all).await;
            self.templates(&mut all).await;
            self.rules(&mut all).await;
            self.roles(&mut all).await;
            self.functions(&mut all).await;
            self.log_groups(&mut all).await;
            all
        })
    }

    /// Waits for a call.
    pub(crate) fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }

    async fn policies(&self, all: &mut Inventory) {
        let list = self.iot.list_policies().page_size(250).send().await.unwrap();
        for policy in list.policies() {
            let name = policy.policy_name().unwrap();
            let found = self.iot.get_policy().policy_name(name).send().await.unwrap();
            let versions = self.iot.list_policy_versions().policy_name(name).send().await.unwrap();
            let versions = versions.policy_versions().len();
            let tags = self.tags(policy.policy_arn().unwrap()).await;
            let document = found.policy_document().unwrap();
            all.insert(format!("policy {name}"), format!("{document} {versions} {tags}"));
        }
    }

    async fn certificates(&self, all: &mut Inventory) {
        let mut certificates = Vec::new();
        let mut pages = self.iot.list_certificates().page_size(100).send().await.unwrap();
        loop {
            for found in pages.certificates() {
                let arn = found.certificate_arn().unwrap();
                let policies = self.iot.list_attached_policies().target(arn).send().await.unwrap();
                let policies: Vec<_> =
                    policies.policies().iter().filter_map(|policy| policy.policy_name()).collect();
                let things = self.iot.list_principal_things().principal(arn).send().await.unwrap();
                certificates.push(format!(
                    "{:?} {policies:?} {:?}",
                    found.status().unwrap(),
                    things.things()
                ));
            }
            let Some(marker) = pages.next_marker().map(str::to_owned) else { break };
            pages = self.iot.list_certificates().page_size(100).marker(marker).send().await.unwrap();
        }
        certificates.sort();
        for (at, found) in certificates.into_iter().enumerate() {
            all.insert(format!("certificate {at}"), found);
        }
    }

    async fn things(&self, all: &mut Inventory) {
        let list = self.iot.list_things().max_results(250).send().await.unwrap();
        for thing in list.things() {
            let attributes: Vec<_> = thing.attributes().into_iter().flatten().map(|(key, _)| key).collect();
            let kind = thing.thing_type_name();
            all.insert(format!("thing {}", thing.thing_name().unwrap()), format!("{kind:?} {attributes:?}"));
        }
        for kind in self.iot.list_thing_types().send().await.unwrap().thing_types() {
            let deprecated = kind.thing_type_metadata().unwrap().deprecated();
            let tags = self.tags(kind.thing_type_arn().unwrap()).await;
            let name = kind.thing_type_name().unwrap();
            all.insert(format!("thing type {name}"), format!("{deprecated} {tags}"));
        }
        for group in self.iot.list_thing_groups().send().await.unwrap().thing_groups() {
            let tags = self.tags(group.group_arn().unwrap()).await;
            all.insert(format!("group {}", group.group_name().unwrap()), tags);
        }
    }

    async fn templates(&self, all: &mut Inventory) {
        for template in self.iot.list_provisioning_templates().send().await.unwrap().templates() {
            let name = template.template_name().unwrap();
            let found = self.iot.describe_provisioning_template().template_name(name).send().await.unwrap();
            let versions =
                self.iot.list_provisioning_template_versions().template_name(name).send().await.unwrap();
            let like = format!(
                "{} {} {:?} {} {} {}",
                found.template_body().unwrap(),
                found.enabled().unwrap(),
                found.pre_provisioning_hook(),
                found.provisioning_role_arn().unwrap(),
                versions.versions().len(),
                self.tags(template.template_arn().unwrap()).await,
            );
            all.insert(format!("template {name}"), like);
        }
    }

    async fn rules(&self, all: &mut Inventory) {
        for rule in self.iot.list_topic_rules().send().await.unwrap().rules() {
            let name = rule.rule_name().unwrap();
            let found = self.iot.get_topic_rule().rule_name(name).send().await.unwrap();
            let (sql, actions) = (found.rule().unwrap().sql().unwrap(), found.rule().unwrap().actions());
            let tags = self.tags(rule.rule_arn().unwrap()).await;
            all.insert(format!("rule {name}"), format!("{sql} {actions:?} {tags}"));
        }
    }

    async fn roles(&self, all: &mut Inventory) {
        for role in self.iam.list_roles().send().await.unwrap().roles() {
            let name = role.role_name();
            let found = self.iam.get_role().role_name(name).send().await.unwrap();
            let role = found.role().unwrap();
            let mut like = format!("{} {:?}", role.assume_role_policy_document().unwrap(), role.tags());
            for policy in self.iam.list_role_policies().role_name(name).send().await.unwrap().policy_names() {
                let call = self.iam.get_role_policy().role_name(name).policy_name(policy);
                like.push_str(call.send().await.unwrap().policy_document());
            }
            all.insert(format!("role {name}"), like);
        }
    }

    async fn functions(&self, all: &mut Inventory) {
        for function in self.lambda.list_functions().send().await.unwrap().functions() {
            let name = function.function_name().unwrap();
            let found = self.lambda.get_function().function_name(name).send().await.unwrap();
            let policy = self.lambda.get_policy().function_name(name).send().await;
            let tags: BTreeMap<_, _> = found.tags().into_iter().flatten().collect();
            let like = format!(
                "{:?} {:?} {:?} {:?} {tags:?} {}",
                function.code_sha256(),
                function.runtime(),
                function.handler(),
                function.role(),
                policy.ok().and_then(|policy| policy.policy).unwrap_or_default(),
            );
            all.insert(format!("function {name}"), like);
        }
    }

    async fn log_groups(&self, all: &mut Inventory) {
        for group in self.logs.describe_log_groups().send().await.unwrap().log_groups() {
            let name = group.log_group_name().unwrap();
            all.insert(format!("log group {name}"), format!("{:?}", group.retention_in_days()));
        }
    }

    async fn tags(&self, arn: &str) -> String {
        let list = self.iot.list_tags_for_resource().resource_arn(arn).send().await.unwrap();
        let tags: BTreeMap<_, _> = list.tags().iter().map(|tag| (tag.key(), tag.value())).collect();
        format!("{tags:?}")
    }
}
