//! From JSON to [`Template`]: every key is known or refused, every place of an error is named.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::document::DocumentTemplate;
use super::error::{Problem, TemplateError};
use super::expression::{Expression, List, Mappings, Scope, at};
use super::{
    CERTIFICATE_ID_PARAMETER, CertificateTemplate, MAX_BODY, Override, PolicyTemplate, Template,
    ThingOverrides, ThingTemplate,
};
use crate::certificate::ThingPrincipalType;

type Object = Map<String, Value>;

pub(super) fn template(body: &str) -> Result<Template, TemplateError> {
    let length = body.chars().count();
    if length > MAX_BODY {
        return Err(TemplateError::TooLong(length));
    }
    let value: Value = serde_json::from_str(body).map_err(|error| TemplateError::Json(error.to_string()))?;
    let root = object(&value, "template")?;
    known_keys(
        root,
        "template",
        &["Parameters", "Resources", "Mappings", "DeviceConfiguration"],
        "Parameters, Resources, Mappings, DeviceConfiguration",
    )?;
    let parameters = parameters(root.get("Parameters"))?;
    let mappings = mappings(root.get("Mappings"))?;
    let declared = |name: &str| name == CERTIFICATE_ID_PARAMETER || parameters.contains_key(name);
    let scope = Scope::new(&declared);
    let resources = Resources::parse(root.get("Resources"), scope)?;
    let device_configuration = strings(root.get("DeviceConfiguration"), "DeviceConfiguration", scope)?;
    Ok(Template {
        mappings,
        certificate: resources
            .certificate
            .ok_or_else(|| at("Resources", Problem::ExactlyOne("AWS::IoT::Certificate")))?,
        policies: resources.policies,
        thing: resources.thing.ok_or_else(|| at("Resources", Problem::ExactlyOne("AWS::IoT::Thing")))?,
        device_configuration,
        parameters,
    })
}

fn parameters(value: Option<&Value>) -> Result<BTreeMap<String, Option<String>>, TemplateError> {
    let Some(value) = value else {
        return Ok(BTreeMap::new());
    };
    let mut parameters = BTreeMap::new();
    for (name, declaration) in object(value, "Parameters")? {
        let path = format!("Parameters.{name}");
        let declaration = object(declaration, &path)?;
        known_keys(declaration, &path, &["Type", "Default"], "Type, Default")?;
        if declaration.get("Type").and_then(Value::as_str) != Some("String") {
            return Err(at(&format!("{path}.Type"), Problem::NotOneOf("String")));
        }
        let default = match declaration.get("Default") {
            None => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => return Err(at(&format!("{path}.Default"), Problem::Expected("a string"))),
        };
        parameters.insert(name.clone(), default);
    }
    Ok(parameters)
}

/// Two levels of keys; "may not contain parameters, pseudo parameters or functions".
fn mappings(value: Option<&Value>) -> Result<Mappings, TemplateError> {
    let Some(value) = value else {
        return Ok(Mappings::new());
    };
    let mut mappings = Mappings::new();
    for (map, first_level) in object(value, "Mappings")? {
        let path = format!("Mappings.{map}");
        for (first, second_level) in object(first_level, &path)? {
            let path = format!("{path}.{first}");
            for (second, value) in object(second_level, &path)? {
                let text = value
                    .as_str()
                    .ok_or_else(|| at(&format!("{path}.{second}"), Problem::Expected("a string")))?;
                let level = mappings.entry(map.clone()).or_default().entry(first.clone()).or_default();
                level.insert(second.clone(), text.to_string());
            }
        }
    }
    Ok(mappings)
}

#[derive(Default)]
struct Resources {
    certificate: Option<CertificateTemplate>,
    policies: Vec<PolicyTemplate>,
    thing: Option<ThingTemplate>,
}

impl Resources {
    fn parse(value: Option<&Value>, scope: Scope<'_>) -> Result<Self, TemplateError> {
        let value = value.ok_or_else(|| at("Resources", Problem::Missing))?;
        let mut resources = Self::default();
        for (logical, resource) in object(value, "Resources")? {
            let path = format!("Resources.{logical}");
            resources.add(object(resource, &path)?, &path, scope)?;
        }
        Ok(resources)
    }

    fn add(&mut self, resource: &Object, path: &str, scope: Scope<'_>) -> Result<(), TemplateError> {
        let keys = ["Type", "Properties", "OverrideSettings"];
        known_keys(resource, path, &keys, "Type, Properties, OverrideSettings")?;
        let kinds = "AWS::IoT::Thing, AWS::IoT::Certificate, AWS::IoT::Policy";
        let resource = Resource {
            properties: section(resource, "Properties", path)?,
            overrides: section(resource, "OverrideSettings", path)?,
            kind: resource.get("Type").and_then(Value::as_str),
            path,
        };
        match resource.kind {
            Some("AWS::IoT::Certificate") => {
                let certificate = certificate(&resource, scope)?;
                once(&mut self.certificate, certificate, path, "AWS::IoT::Certificate")
            }
            Some("AWS::IoT::Thing") => {
                once(&mut self.thing, thing(&resource, scope)?, path, "AWS::IoT::Thing")
            }
            Some("AWS::IoT::Policy") => {
                self.policies.push(policy(&resource, scope)?);
                Ok(())
            }
            _ => Err(at(&format!("{path}.Type"), Problem::NotOneOf(kinds))),
        }
    }
}

/// One entry of `Resources`.
struct Resource<'a> {
    kind: Option<&'a str>,
    properties: Option<&'a Object>,
    overrides: Option<&'a Object>,
    path: &'a str,
}

impl Resource<'_> {
    fn property(&self, name: &str) -> Option<&Value> {
        self.properties?.get(name)
    }

    fn expression(&self, name: &str, scope: Scope<'_>) -> Result<Option<Expression>, TemplateError> {
        let parse = |value| Expression::parse(value, &self.path_of(name), scope);
        self.property(name).map(parse).transpose()
    }

    fn path_of(&self, property: &str) -> String {
        format!("{}.Properties.{property}", self.path)
    }

    fn check_keys(
        &self,
        properties: (&[&str], &'static str),
        overrides: (&[&str], &'static str),
    ) -> Result<(), TemplateError> {
        let empty = Object::new();
        let path = format!("{}.Properties", self.path);
        known_keys(self.properties.unwrap_or(&empty), &path, properties.0, properties.1)?;
        let path = format!("{}.OverrideSettings", self.path);
        known_keys(self.overrides.unwrap_or(&empty), &path, overrides.0, overrides.1)
    }

    fn setting(&self, name: &str, merge: bool) -> Result<Override, TemplateError> {
        let Some(value) = self.overrides.and_then(|settings| settings.get(name)) else {
            return Ok(Override::default());
        };
        match value.as_str() {
            Some("DO_NOTHING") => Ok(Override::DoNothing),
            Some("REPLACE") => Ok(Override::Replace),
            Some("FAIL") => Ok(Override::Fail),
            Some("MERGE") if merge => Ok(Override::Merge),
            _ => {
                let path = format!("{}.OverrideSettings.{name}", self.path);
                let allowed = "DO_NOTHING, REPLACE, FAIL, and MERGE for ThingGroups and AttributePayload";
                Err(at(&path, Problem::NotOneOf(allowed)))
            }
        }
    }
}

fn certificate(resource: &Resource<'_>, scope: Scope<'_>) -> Result<CertificateTemplate, TemplateError> {
    resource.check_keys(
        (
            &["CertificateId", "Status", "ThingPrincipalType"],
            "CertificateId, Status, ThingPrincipalType (a fleet template identifies the certificate by its id)",
        ),
        (&["Status"], "Status"),
    )?;
    let id = resource.expression("CertificateId", scope)?;
    if id != Some(Expression::Ref(CERTIFICATE_ID_PARAMETER.to_string())) {
        let only = "{\"Ref\": \"AWS::IoT::Certificate::Id\"}";
        return Err(at(&resource.path_of("CertificateId"), Problem::NotOneOf(only)));
    }
    let principal_type = match resource.property("ThingPrincipalType").map(Value::as_str) {
        None | Some(Some("NON_EXCLUSIVE_THING")) => ThingPrincipalType::NonExclusiveThing,
        Some(Some("EXCLUSIVE_THING")) => ThingPrincipalType::ExclusiveThing,
        Some(_) => {
            let problem = Problem::NotOneOf("EXCLUSIVE_THING, NON_EXCLUSIVE_THING");
            return Err(at(&resource.path_of("ThingPrincipalType"), problem));
        }
    };
    let status = resource.expression("Status", scope)?;
    if let Some(Expression::Literal(text)) = &status
        && super::resolve::status(text).is_none()
    {
        return Err(at(&resource.path_of("Status"), Problem::NotOneOf("ACTIVE, INACTIVE")));
    }
    Ok(CertificateTemplate { status, on_status: resource.setting("Status", false)?, principal_type })
}

fn policy(resource: &Resource<'_>, scope: Scope<'_>) -> Result<PolicyTemplate, TemplateError> {
    resource.check_keys(
        (&["PolicyName", "PolicyDocument"], "PolicyName, PolicyDocument"),
        (&[], "none: policies have no override settings"),
    )?;
    let scope = scope.without_join();
    match (resource.property("PolicyName"), resource.property("PolicyDocument")) {
        (Some(name), None) => {
            let name = Expression::parse(name, &resource.path_of("PolicyName"), scope)?;
            Ok(PolicyTemplate::Named(name))
        }
        (None, Some(document)) => {
            let path = resource.path_of("PolicyDocument");
            let document = DocumentTemplate::parse(document, &path, scope)?;
            Ok(PolicyTemplate::Document(document))
        }
        _ => {
            let problem = Problem::Expected("either PolicyName or PolicyDocument");
            Err(at(&format!("{}.Properties", resource.path), problem))
        }
    }
}

fn thing(resource: &Resource<'_>, scope: Scope<'_>) -> Result<ThingTemplate, TemplateError> {
    let properties = ["ThingName", "AttributePayload", "ThingTypeName", "ThingGroups"];
    let overrides = ["AttributePayload", "ThingTypeName", "ThingGroups"];
    resource.check_keys(
        (&properties, "ThingName, AttributePayload, ThingTypeName, ThingGroups"),
        (&overrides, "AttributePayload, ThingTypeName, ThingGroups"),
    )?;
    let attributes = resource.property("AttributePayload");
    let groups = resource
        .property("ThingGroups")
        .map(|value| List::parse(value, &resource.path_of("ThingGroups"), scope))
        .transpose()?;
    Ok(ThingTemplate {
        name: resource
            .expression("ThingName", scope)?
            .ok_or_else(|| at(&resource.path_of("ThingName"), Problem::Missing))?,
        type_name: resource.expression("ThingTypeName", scope)?,
        attributes: strings(attributes, &resource.path_of("AttributePayload"), scope)?,
        groups,
        overrides: ThingOverrides {
            attributes: resource.setting("AttributePayload", true)?,
            type_name: resource.setting("ThingTypeName", false)?,
            groups: resource.setting("ThingGroups", true)?,
        },
    })
}

/// An object whose values are strings or functions that yield them.
fn strings(
    value: Option<&Value>,
    path: &str,
    scope: Scope<'_>,
) -> Result<BTreeMap<String, Expression>, TemplateError> {
    let Some(value) = value else {
        return Ok(BTreeMap::new());
    };
    let parse = |(key, value): (&String, &Value)| {
        let value = Expression::parse(value, &format!("{path}.{key}"), scope)?;
        Ok((key.clone(), value))
    };
    object(value, path)?.iter().map(parse).collect()
}

fn section<'a>(resource: &'a Object, name: &str, path: &str) -> Result<Option<&'a Object>, TemplateError> {
    resource.get(name).map(|value| object(value, &format!("{path}.{name}"))).transpose()
}

fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Object, TemplateError> {
    value.as_object().ok_or_else(|| at(path, Problem::Expected("an object")))
}

fn known_keys(
    found: &Object,
    path: &str,
    known: &[&str],
    allowed: &'static str,
) -> Result<(), TemplateError> {
    match found.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(at(&format!("{path}.{key}"), Problem::UnknownKey(allowed))),
        None => Ok(()),
    }
}

fn once<T>(slot: &mut Option<T>, value: T, path: &str, kind: &'static str) -> Result<(), TemplateError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(at(path, Problem::ExactlyOne(kind))),
    }
}
