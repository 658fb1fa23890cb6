//! Certificates: API Reference, CreateKeysAndCertificate to DeleteCertificate.

use fleetkey_model::certificate::{CertificateFacts, CertificateId, CertificateStatus};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::{age, commit, page_by_age, refusal, seconds};
use crate::ca::Minted;
use crate::registry::{CertificateRecord, Source};
use crate::rest::{Context, PageQuery, Refusal, Reply, Route, route, text};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("CreateKeysAndCertificate", Method::POST, "/keys-and-certificate", create_keys),
        route("CreateCertificateFromCsr", Method::POST, "/certificates", create_from_csr),
        route("RegisterCertificate", Method::POST, "/certificate/register", register),
        route(
            "RegisterCertificateWithoutCA",
            Method::POST,
            "/certificate/register-no-ca",
            register_without_ca,
        ),
        route("DescribeCertificate", Method::GET, "/certificates/{certificateId}", describe),
        route("ListCertificates", Method::GET, "/certificates", list),
        route("UpdateCertificate", Method::PUT, "/certificates/{certificateId}", update),
        route("DeleteCertificate", Method::DELETE, "/certificates/{certificateId}", delete),
    ]
}

/// The longest CSR and the longest certificate in characters.
const MAX_CSR: usize = 4096;
const MAX_PEM: usize = 65_536;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateKeys {
    #[serde(default, deserialize_with = "text::boolean")]
    set_as_active: bool,
}

async fn create_keys(context: Context, input: CreateKeys) -> Result<Reply, Refusal> {
    let minted = context.account.create_keys_and_certificate(input.set_as_active).await?;
    let mut output = issued(&context, &minted);
    if let Value::Object(members) = &mut output {
        members.insert("keyPair".to_owned(), key_pair(&minted));
    }
    Ok(Reply::json(&output))
}

/// `KeyPair`.
pub(super) fn key_pair(minted: &Minted) -> Value {
    let private = minted.private_key.as_ref().map(|key| key.expose());
    json!({"PublicKey": minted.public_key_pem().ok(), "PrivateKey": private})
}

fn issued(context: &Context, minted: &Minted) -> Value {
    let id = &minted.facts.id;
    json!({
        "certificateArn": context.scope.certificate(id), "certificateId": id, "certificatePem": minted.pem,
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateFromCsr {
    certificate_signing_request: String,
    #[serde(default, deserialize_with = "text::boolean")]
    set_as_active: bool,
}

async fn create_from_csr(context: Context, input: CreateFromCsr) -> Result<Reply, Refusal> {
    let csr = &input.certificate_signing_request;
    bounded(csr, "certificateSigningRequest", MAX_CSR)?;
    let minted = context.account.create_certificate_from_csr(csr, input.set_as_active).await?;
    Ok(Reply::json(&issued(&context, &minted)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Register {
    certificate_pem: String,
    status: Option<String>,
}

fn bounded(text: &str, member: &str, most: usize) -> Result<(), Refusal> {
    if text.chars().count() <= most {
        return Ok(());
    }
    let constraint = format!("Member must have length less than or equal to {most}");
    Err(Refusal::constraint(Some(text), member, &constraint))
}

/// No CA can be registered here, and without one AWS refuses every certificate.
async fn register(_: Context, input: Register) -> Result<Reply, Refusal> {
    let invalid = |why: String| Refusal::new(400, "CertificateValidationException", why);
    bounded(&input.certificate_pem, "certificatePem", MAX_PEM)?;
    CertificateFacts::from_pem(&input.certificate_pem).map_err(|error| invalid(error.to_string()))?;
    Err(invalid(
        "The CA certificate that signed the certificate is not registered; use RegisterCertificateWithoutCA"
            .into(),
    ))
}

async fn register_without_ca(context: Context, input: Register) -> Result<Reply, Refusal> {
    bounded(&input.certificate_pem, "certificatePem", MAX_PEM)?;
    // INACTIVE is what AWS gives a certificate that is registered without a status.
    let status = status("status", input.status.as_deref().unwrap_or("INACTIVE"))?;
    let id = context.account.register_certificate(&input.certificate_pem, status).await;
    let id = id.map_err(|error| refusal(&context, error))?;
    let arn = context.scope.certificate(&id);
    Ok(Reply::json(&json!({"certificateArn": arn, "certificateId": id})))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    certificate_id: CertificateId,
}

async fn describe(context: Context, input: Named) -> Result<Reply, Refusal> {
    let record = context.account.describe_certificate(&input.certificate_id)?;
    Ok(Reply::json(&json!({"certificateDescription": {
        "certificateArn": context.scope.certificate(&record.id), "certificateId": record.id,
        "status": record.status, "certificatePem": record.pem, "ownedBy": context.scope.account,
        "creationDate": seconds(record.created_at), "lastModifiedDate": seconds(record.last_modified),
        "customerVersion": 1, "transferData": {}, "generationId": record.generation(),
        "validity": {"notBefore": seconds(record.not_before), "notAfter": seconds(record.not_after)},
        "certificateMode": mode(&record),
    }})))
}

/// A certificate whose CA nobody registered is told apart by the server name of the endpoint (Developer Guide,
/// manual-cert-registration).
fn mode(record: &CertificateRecord) -> &'static str {
    if record.source == Source::Registered { "SNI_ONLY" } else { "DEFAULT" }
}

async fn list(context: Context, query: PageQuery) -> Result<Reply, Refusal> {
    let page = page_by_age(&query)?;
    let registry = context.account.store().read();
    let all = registry.certificates_by_age();
    let all: Box<dyn Iterator<Item = &CertificateRecord>> =
        if page.ascending == Some(false) { Box::new(all.rev()) } else { Box::new(all) };
    let (records, next) = page.cut(all, |record| age(record.created_at, &record.id.to_string()));
    let certificates: Vec<Value> = records
        .into_iter()
        .map(|record| {
            json!({
                "certificateArn": context.scope.certificate(&record.id), "certificateId": record.id,
                "status": record.status, "certificateMode": mode(record),
                "creationDate": seconds(record.created_at),
            })
        })
        .collect();
    Ok(Reply::json(&json!({"certificates": certificates, "nextMarker": next})))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    certificate_id: CertificateId,
    new_status: String,
}

async fn update(context: Context, input: Update) -> Result<Reply, Refusal> {
    let status = status("newStatus", &input.new_status)?;
    context.account.update_certificate(&input.certificate_id, status).await?;
    Ok(Reply::empty())
}

/// A status that is AWS's; whether it can be asked for is the registry's to say.
fn status(member: &str, text: &str) -> Result<CertificateStatus, Refusal> {
    if text == "REGISTER_INACTIVE" {
        return Err(Refusal::invalid("The status REGISTER_INACTIVE is deprecated and cannot be set"));
    }
    serde_json::from_value(text.into()).map_err(|_| {
        let set = "ACTIVE, INACTIVE, REVOKED, PENDING_TRANSFER, REGISTER_INACTIVE, PENDING_ACTIVATION";
        Refusal::constraint(Some(text), member, &format!("Member must satisfy enum value set: [{set}]"))
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delete {
    certificate_id: CertificateId,
    #[serde(default, deserialize_with = "text::boolean")]
    force_delete: bool,
}

async fn delete(context: Context, input: Delete) -> Result<Reply, Refusal> {
    let Delete { certificate_id, force_delete } = input;
    commit(&context, |registry| registry.plan_delete_certificate(&certificate_id, force_delete)).await?;
    Ok(Reply::empty())
}
