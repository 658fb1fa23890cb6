//! A failed call as the operator's side understands it: what to do about it, with AWS's own words.

use std::error::Error;

use aws_sdk_iot::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use fleetkey_operator::control_plane::ApiError;

/// Sorts a failure by AWS's code for it.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(crate) fn refused<E>(error: SdkError<E, HttpResponse>) -> ApiError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match &error {
        SdkError::ServiceError(context) => match context.err().code() {
            Some(code) => sorted(code, context.err().message().unwrap_or_default()),
            None => nameless(context.raw().status().as_u16()),
        },
        SdkError::ConstructionFailure(_) => ApiError::Other(chain(&error)),
        _ => unreached(&chain(&error)),
    }
}

/// An error and what led to it, in words. Not the SDK's own rendering, which adds what `Debug` shows: of an answer that
/// cannot be read that is the answer, and some answers hold a private key.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let words = std::iter::once(error.to_string()).chain(causes.map(ToString::to_string));
    words.collect::<Vec<_>>().join(": ")
}

/// What stands there, or that nothing does.
pub(crate) fn optional<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(ApiError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is not there is gone already.
pub(crate) fn gone<T>(answer: Result<T, ApiError>) -> Result<(), ApiError> {
    optional(answer).map(drop)
}

/// A field that every answer has, and that this one has not.
pub(crate) fn incomplete(what: &str) -> ApiError {
    ApiError::Other(format!("the account's answer has no {what}"))
}

fn sorted(code: &str, message: &str) -> ApiError {
    let text = format!("{code}: {message}");
    match code {
        "ResourceNotFoundException" | "NoSuchEntity" | "NoSuchEntityException" => ApiError::NotFound(text),
        "ResourceAlreadyExistsException"
        | "EntityAlreadyExists"
        | "EntityAlreadyExistsException"
        | "ResourceConflictException" => ApiError::AlreadyExists(text),
        "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "SlowDown" => ApiError::Throttled,
        "DeleteConflictException"
        | "DeleteConflict"
        | "CertificateStateException"
        | "ConcurrentModification"
        | "ConcurrentModificationException"
        | "ConflictingResourceUpdateException"
        | "OperationAbortedException"
        | "VersionConflictException" => ApiError::Conflict(text),
        "InternalFailureException"
        | "InternalFailure"
        | "InternalException"
        | "ServiceUnavailableException"
        | "ServiceUnavailable"
        | "ServiceException"
        | "ServiceFailure"
        | "ServiceFailureException" => ApiError::Unavailable(text),
        _ if not_yet(code, message) => ApiError::Conflict(text),
        _ => ApiError::Other(text),
    }
}

/// An answer that names no error is not the service's own: a gateway before it says so while it cannot be reached.
fn nameless(status: u16) -> ApiError {
    let text = format!("HTTP status {status} and no word why");
    if status >= 500 { ApiError::Unavailable(text) } else { ApiError::Other(text) }
}

/// What will work within seconds: IAM spreads a new role slowly, and says so only in words; a thing type and a thing
/// wait for what was detached from them.
fn not_yet(code: &str, message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let role = message.contains("role") && (message.contains("assume") || message.contains("trust"));
    match code {
        "InvalidParameterValueException" => role,
        "InvalidRequestException" => {
            role || message.contains("still attached")
                || message.contains("deprecat") && message.contains("minutes")
        }
        _ => false,
    }
}

/// No answer. Without credentials there never will be one.
fn unreached(text: &str) -> ApiError {
    let lower = text.to_ascii_lowercase();
    if lower.contains("credential") || lower.contains("identity") {
        return ApiError::Other(format!(
            "there are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a --profile ({text})"
        ));
    }
    ApiError::Unavailable(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_pass_is_told_from_what_will_not() {
        let role = "The role defined for the function cannot be assumed by Lambda.";
        assert!(sorted("InvalidParameterValueException", role).retryable());
        assert!(!sorted("InvalidParameterValueException", "Unzipped size must be smaller").retryable());
        let thing = "Cannot delete. Thing a is still attached to one or more principals";
        assert!(sorted("InvalidRequestException", thing).retryable());
        assert!(!sorted("AccessDeniedException", "User is not authorized").retryable());
        assert!(!sorted("LimitExceededException", "too many policies").retryable());
        assert!(sorted("DeleteConflictException", "").retryable());
        assert!(nameless(502).retryable() && !nameless(403).retryable());
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_repeated() {
        use aws_sdk_iot::operation::create_provisioning_claim::CreateProvisioningClaimError;
        use aws_smithy_runtime_api::http::StatusCode;
        let body = r#"{"keyPair":{"PrivateKey":"-----BEGIN RSA PRIVATE KEY-----"#;
        let answer = HttpResponse::new(StatusCode::try_from(200).unwrap(), body.into());
        let error: SdkError<CreateProvisioningClaimError, _> =
            SdkError::response_error("unexpected end", answer);
        let words = refused(error).to_string();
        assert!(words.contains("unexpected end") && !words.contains("PRIVATE"), "{words}");
    }

    #[test]
    fn missing_credentials_are_not_waited_for() {
        assert!(!unreached("dispatch failure: no providers in chain provided credentials").retryable());
        assert!(unreached("dispatch failure: connection refused").retryable());
    }
}
