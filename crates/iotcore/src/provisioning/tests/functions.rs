//! Functions as hooks: whose word counts, and when it no longer does.

use super::*;
use crate::hook::FunctionHooks;
use crate::registry::Registry;

/// Functions that allow everything, and may first let something happen to the template.
struct Allowing {
    meanwhile: Option<Store>,
}

impl FunctionHooks for Allowing {
    fn call(&self, arn: &str, _: HookEvent) -> HookFuture {
        assert_eq!(arn, "arn:one");
        let meanwhile = self.meanwhile.clone();
        Box::pin(async move {
            if let Some(store) = meanwhile {
                name_function(&store, "arn:two").await;
            }
            Ok(HookDecision { allow_provisioning: true, ..HookDecision::default() })
        })
    }
}

async fn name_function(store: &Store, arn: &str) {
    let template = TemplateName::new("claim").unwrap();
    let hook = Some(BuiltinHook::Function { arn: arn.to_owned() });
    let plan = |registry: &Registry| registry.plan_update_template(&template, NOW, |t| t.hook = hook);
    store.commit(plan).await.unwrap();
}

#[tokio::test]
async fn a_function_decides_only_while_it_is_the_templates_hook_and_only_where_functions_run() {
    let store = Store::in_memory().unwrap();
    set_up(&store).await;
    let table = [
        ("XX-1", Some(Allowing { meanwhile: None }), true),
        ("XX-2", Some(Allowing { meanwhile: Some(store.clone()) }), false),
        ("XX-3", None, false),
    ];
    for (serial, functions, allowed) in table {
        name_function(&store, "arn:one").await;
        let functions = functions.map(|functions| Arc::new(functions) as Arc<dyn FunctionHooks>);
        let config = ProvisioningConfig { functions, ..ProvisioningConfig::default() };
        let bench = Bench::on(store.clone(), config);
        let issued = bench.issued().await;
        let request = register(&issued.certificate_ownership_token, serial).to_string();
        let answer = bench.ask(REGISTER_TOPIC, request.as_bytes()).await;
        assert_eq!(answer.topic.to_string().ends_with("accepted"), allowed, "{serial}");
        assert_eq!(store.read().thing(&ThingName::new(serial).unwrap()).is_some(), allowed);
    }
}
