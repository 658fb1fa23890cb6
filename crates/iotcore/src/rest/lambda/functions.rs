//! Making, describing, changing and deleting functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Context, PageQuery, Refusal, Reply, Route, route, text};
use super::configuration::{Environment, Logging, Storage, described, described_latest};
use crate::functions::{ConfigurationChange, Function, Functions, NewCode, NewFunction, Publication};

const FUNCTIONS: &str = "/2015-03-31/functions";
const FUNCTION: &str = "/2015-03-31/functions/{FunctionName}";

pub(super) fn routes() -> Vec<Route> {
    let configuration = "/2015-03-31/functions/{FunctionName}/configuration";
    vec![
        route("CreateFunction", Method::POST, FUNCTIONS, create_function),
        route("ListFunctions", Method::GET, FUNCTIONS, list_functions),
        route("GetFunction", Method::GET, FUNCTION, get_function),
        route("DeleteFunction", Method::DELETE, FUNCTION, delete_function),
        route("GetFunctionConfiguration", Method::GET, configuration, get_function_configuration),
        route("UpdateFunctionConfiguration", Method::PUT, configuration, update_function_configuration),
        route(
            "UpdateFunctionCode",
            Method::PUT,
            "/2015-03-31/functions/{FunctionName}/code",
            update_function_code,
        ),
    ]
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Code {
    #[serde(default, deserialize_with = "text::optional_blob")]
    zip_file: Option<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateFunction {
    function_name: String,
    runtime: Option<String>,
    role: String,
    #[serde(default)]
    handler: String,
    code: Code,
    description: Option<String>,
    timeout: Option<u32>,
    memory_size: Option<u32>,
    #[serde(default)]
    environment: Environment,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    architectures: Vec<String>,
    ephemeral_storage: Option<Storage>,
    logging_config: Option<Logging>,
    package_type: Option<String>,
    #[serde(default)]
    publish: bool,
    #[serde(default)]
    layers: Value,
    #[serde(default)]
    vpc_config: Value,
    #[serde(default)]
    file_system_configs: Value,
    #[serde(default)]
    image_config: Value,
}

async fn create_function(context: Context, input: CreateFunction) -> Result<Reply, Refusal> {
    check_foreign([
        ("Layers", &input.layers),
        ("VpcConfig", &input.vpc_config),
        ("FileSystemConfigs", &input.file_system_configs),
        ("ImageConfig", &input.image_config),
    ])?;
    let (Some(runtime), None | Some("Zip")) = (input.runtime, input.package_type.as_deref()) else {
        return Err(invalid(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ));
    };
    let new = NewFunction {
        name: input.function_name,
        runtime,
        handler: input.handler,
        role: input.role,
        zip: zip(input.code.zip_file)?,
        description: input.description,
        timeout: input.timeout,
        memory: input.memory_size,
        storage: input.ephemeral_storage.map(|storage| storage.size),
        architecture: input.architectures.into_iter().next(),
        environment: input.environment.variables(),
        tags: input.tags,
        log_group: input.logging_config.and_then(|logging| logging.log_group),
    };
    let mut function = context.functions.create(new).await?;
    if input.publish {
        function = context.functions.publish(&function.name, Publication::default()).await?;
    }
    Ok(Reply::json(&described(&context.functions, &function)).with_status(201))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Name {
    function_name: String,
    qualifier: Option<String>,
}

impl Name {
    /// The function or version that is meant, and its `FunctionConfiguration`: its ARN has a qualifier if the request
    /// had one.
    fn find(&self, functions: &Functions) -> Result<(Arc<Function>, Value), Refusal> {
        let name = functions.qualified(&self.function_name, self.qualifier.as_deref())?;
        let function = functions.function(&name)?;
        let described = match name.ends_with(":$LATEST") {
            true => described_latest(functions, &function),
            false => described(functions, &function),
        };
        Ok((function, described))
    }
}

async fn get_function(context: Context, input: Name) -> Result<Reply, Refusal> {
    let (function, configuration) = input.find(&context.functions)?;
    // No Location: a presigned address would show the code to whoever sees a log.
    Ok(Reply::json(&json!({
        "Configuration": configuration,
        "Code": {"RepositoryType": "S3"},
        "Tags": (!function.tags.is_empty()).then_some(&function.tags),
    })))
}

async fn get_function_configuration(context: Context, input: Name) -> Result<Reply, Refusal> {
    Ok(Reply::json(&input.find(&context.functions)?.1))
}

#[derive(Deserialize)]
struct List {
    #[serde(flatten)]
    page: PageQuery,
}

async fn list_functions(context: Context, input: List) -> Result<Reply, Refusal> {
    let page = input
        .page
        .page(1..=10_000, 50)
        .map_err(|refusal| refusal.with_code("InvalidParameterValueException"));
    // Never more than 50, whatever is asked for (API reference, ListFunctions).
    let mut page = page?;
    page.limit = page.limit.min(50);
    let (found, marker) = page.cut(context.functions.functions(), |function| function.name.clone());
    let found: Vec<_> = found.iter().map(|function| described(&context.functions, function)).collect();
    Ok(Reply::json(&json!({"Functions": found, "NextMarker": marker})))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateFunctionCode {
    function_name: String,
    #[serde(default, deserialize_with = "text::optional_blob")]
    zip_file: Option<Vec<u8>>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    publish: bool,
    revision_id: Option<String>,
}

async fn update_function_code(context: Context, input: UpdateFunctionCode) -> Result<Reply, Refusal> {
    let new = NewCode {
        zip: zip(input.zip_file)?,
        architecture: input.architectures.into_iter().next(),
        dry_run: input.dry_run,
        revision: input.revision_id,
    };
    let mut function = context.functions.update_code(&input.function_name, new).await?;
    if input.publish && !input.dry_run {
        function = context.functions.publish(&function.name, Publication::default()).await?;
    }
    Ok(Reply::json(&described(&context.functions, &function)))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateFunctionConfiguration {
    function_name: String,
    runtime: Option<String>,
    role: Option<String>,
    handler: Option<String>,
    description: Option<String>,
    timeout: Option<u32>,
    memory_size: Option<u32>,
    environment: Option<Environment>,
    ephemeral_storage: Option<Storage>,
    logging_config: Option<Logging>,
    revision_id: Option<String>,
    #[serde(default)]
    layers: Value,
    #[serde(default)]
    vpc_config: Value,
    #[serde(default)]
    file_system_configs: Value,
    #[serde(default)]
    image_config: Value,
}

async fn update_function_configuration(
    context: Context,
    input: UpdateFunctionConfiguration,
) -> Result<Reply, Refusal> {
    check_foreign([
        ("Layers", &input.layers),
        ("VpcConfig", &input.vpc_config),
        ("FileSystemConfigs", &input.file_system_configs),
        ("ImageConfig", &input.image_config),
    ])?;
    let change = ConfigurationChange {
        runtime: input.runtime,
        handler: input.handler,
        role: input.role,
        description: input.description,
        timeout: input.timeout,
        memory: input.memory_size,
        storage: input.ephemeral_storage.map(|storage| storage.size),
        environment: input.environment.map(Environment::variables),
        log_group: input.logging_config.and_then(|logging| logging.log_group),
        revision: input.revision_id,
    };
    let function = context.functions.update_configuration(&input.function_name, change).await?;
    Ok(Reply::json(&described(&context.functions, &function)))
}

async fn delete_function(context: Context, input: Name) -> Result<Reply, Refusal> {
    let name = context.functions.qualified(&input.function_name, input.qualifier.as_deref())?;
    context.functions.delete(&name).await?;
    Ok(Reply::empty().with_status(204))
}

/// What a function here has not is refused, not left out. Clients send it empty where they mean nothing by it.
fn check_foreign<const N: usize>(members: [(&str, &Value); N]) -> Result<(), Refusal> {
    match members.into_iter().find(|(_, value)| !means_nothing(value)) {
        Some((name, _)) => Err(invalid(&format!(
            "{name} is not implemented by the local IoT Core: its functions have no layers, networks, file systems or \
             images"
        ))),
        None => Ok(()),
    }
}

fn means_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(means_nothing),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn zip(zip: Option<Vec<u8>>) -> Result<Vec<u8>, Refusal> {
    zip.filter(|zip| !zip.is_empty()).ok_or_else(|| {
        invalid(
            "Please provide a source for function code: the local IoT Core takes ZipFile, not S3 or images.",
        )
    })
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(400, "InvalidParameterValueException", message)
}
