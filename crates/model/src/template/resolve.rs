//! From [`Template`] and parameters to [`ResolvedTemplate`].

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};

use sha2::{Digest, Sha256};

use super::expression::{Expression, Values};
use super::{
    CERTIFICATE_ID_PARAMETER, PolicyTemplate, ResolveError, ResolvedCertificate, ResolvedPolicy,
    ResolvedTemplate, ResolvedThing, Template, ThingTemplate,
};
use crate::certificate::{CertificateId, CertificateStatus};
use crate::name::{GroupName, PolicyName, ThingName};

pub(super) fn template(
    template: &Template,
    parameters: &BTreeMap<String, String>,
    certificate: &CertificateId,
) -> Result<ResolvedTemplate, ResolveError> {
    let id = certificate.to_string();
    let values = values(template, parameters, &id)?;
    let status = match &template.certificate.status {
        None => CertificateStatus::Active,
        Some(expression) => {
            let text = expression.resolve(&values)?;
            status(&text).ok_or(ResolveError::Status(text))?
        }
    };
    Ok(ResolvedTemplate {
        certificate: ResolvedCertificate {
            status,
            on_status: template.certificate.on_status,
            principal_type: template.certificate.principal_type,
        },
        policies: template.policies.iter().map(|one| policy(one, &values)).collect::<Result<_, _>>()?,
        thing: thing(&template.thing, &values)?,
        device_configuration: strings(&template.device_configuration, &values)?,
    })
}

/// ACTIVE or INACTIVE in any case: AWS's own examples write `Active`.
pub(super) fn status(text: &str) -> Option<CertificateStatus> {
    if text.eq_ignore_ascii_case("ACTIVE") {
        return Some(CertificateStatus::Active);
    }
    text.eq_ignore_ascii_case("INACTIVE").then_some(CertificateStatus::Inactive)
}

/// The device's value, else the default; the service's own parameter cannot be overridden.
fn values<'a>(
    template: &'a Template,
    parameters: &'a BTreeMap<String, String>,
    certificate: &'a str,
) -> Result<Values<'a>, ResolveError> {
    let mut known = BTreeMap::from([(CERTIFICATE_ID_PARAMETER, certificate)]);
    for (name, default) in &template.parameters {
        if name == CERTIFICATE_ID_PARAMETER {
            continue;
        }
        let value = parameters.get(name).or(default.as_ref());
        let value = value.ok_or_else(|| ResolveError::MissingParameter(name.clone()))?;
        known.insert(name, value);
    }
    Ok(Values { parameters: known, mappings: &template.mappings })
}

fn policy(template: &PolicyTemplate, values: &Values<'_>) -> Result<ResolvedPolicy, ResolveError> {
    match template {
        PolicyTemplate::Named(name) => Ok(ResolvedPolicy::Named(PolicyName::new(name.resolve(values)?)?)),
        PolicyTemplate::Document(document) => {
            let text = document.resolve(values)?;
            let digest = Sha256::digest(text.as_bytes());
            let name: String = digest.iter().take(20).map(|byte| format!("{byte:02X}")).collect();
            Ok(ResolvedPolicy::Document { name: PolicyName::new(name)?, text })
        }
    }
}

fn thing(template: &ThingTemplate, values: &Values<'_>) -> Result<ResolvedThing, ResolveError> {
    let type_name = template.type_name.as_ref();
    let type_name = type_name.map(|name| name.resolve(values)).transpose()?;
    let groups = match &template.groups {
        None => None,
        Some(groups) => {
            let names = groups.resolve(values)?.into_iter().map(GroupName::new);
            Some(names.collect::<Result<_, _>>()?)
        }
    };
    Ok(ResolvedThing {
        name: ThingName::new(template.name.resolve(values)?)?,
        type_name: type_name.map(GroupName::new).transpose()?,
        attributes: strings(&template.attributes, values)?,
        groups,
        overrides: template.overrides,
    })
}

fn strings(
    templates: &BTreeMap<String, Expression>,
    values: &Values<'_>,
) -> Result<BTreeMap<String, String>, ResolveError> {
    templates.iter().map(|(name, value)| Ok((name.clone(), value.resolve(values)?))).collect()
}
