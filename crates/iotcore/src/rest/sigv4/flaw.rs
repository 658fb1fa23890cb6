//! What can be wrong with a signature, in AWS's words, under the names that each protocol uses for it.
//!
//! Sources: "Common errors" of the AWS IoT, IAM and Lambda API references; "Troubleshooting Signature Version 4"
//! (IAM User Guide, reference_sigv-troubleshooting) for the words.

use std::fmt;
use std::time::Duration;

use fleetkey_model::time::Timestamp;

use super::date::basic;
use crate::rest::Refusal;
use crate::rest::protocol::Protocol;

/// Why a request is not taken for its key's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rest) enum Flaw {
    /// It is not signed.
    MissingToken,
    /// A part of the signature is missing or malformed.
    Incomplete(String),
    /// Nobody has this access key, or not with this session token.
    UnknownKey,
    /// Temporary credentials are past their end.
    ExpiredToken,
    /// The credential's scope is not ours.
    Scope(String),
    /// A header that must be signed is not.
    Unsigned(&'static str),
    /// It was signed too long ago.
    Expired { signed: Timestamp, now: Timestamp, skew: Duration },
    /// It was signed in our future.
    NotYet { signed: Timestamp, now: Timestamp, skew: Duration },
    /// A presigned URL is past its time.
    UrlExpired { signed: Timestamp, now: Timestamp, life: Duration },
    /// The body is not the one that was signed.
    Payload,
    /// The signature is another.
    Mismatch { canonical: String, to_sign: String },
}

impl Flaw {
    /// The refusal, by the names of the protocol.
    pub(in crate::rest) fn refusal(&self, protocol: Protocol) -> Refusal {
        let query = matches!(protocol, Protocol::Query(_));
        let (status, code) = match self {
            Self::MissingToken if query => (403, "MissingAuthenticationToken"),
            Self::MissingToken => (403, "MissingAuthenticationTokenException"),
            Self::Incomplete(_) if query => (400, "IncompleteSignature"),
            Self::Incomplete(_) => (400, "IncompleteSignatureException"),
            Self::UnknownKey if query => (403, "InvalidClientTokenId"),
            Self::UnknownKey => (403, "UnrecognizedClientException"),
            Self::ExpiredToken if query => (403, "ExpiredToken"),
            Self::ExpiredToken => (403, "ExpiredTokenException"),
            Self::UrlExpired { .. } => (400, "RequestExpired"),
            _ if query => (403, "SignatureDoesNotMatch"),
            _ => (403, "InvalidSignatureException"),
        };
        Refusal::new(status, code, self.to_string())
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingToken => f.write_str("Missing Authentication Token"),
            Self::Incomplete(why) if why.is_empty() => f.write_str("The request signature is malformed."),
            Self::Incomplete(why) | Self::Scope(why) => f.write_str(why),
            Self::UnknownKey => f.write_str("The security token included in the request is invalid."),
            Self::ExpiredToken => f.write_str("The security token included in the request is expired"),
            Self::Unsigned(header) => {
                write!(f, "'{header}' must be a 'SignedHeader' in the AWS Authorization.")
            }
            Self::Expired { signed, now, skew } => {
                write!(
                    f,
                    "Signature expired: {} is now earlier than {} ",
                    basic(*signed),
                    basic(*now - *skew)
                )?;
                write!(f, "({} - {} min.)", basic(*now), skew.as_secs() / 60)
            }
            Self::NotYet { signed, now, skew } => {
                let (signed, bound) = (basic(*signed), basic(*now + *skew));
                write!(f, "Signature not yet current: {signed} is still later than {bound} ")?;
                write!(f, "({} + {} min.)", basic(*now), skew.as_secs() / 60)
            }
            Self::UrlExpired { signed, now, life } => {
                write!(
                    f,
                    "Signature expired: {} is now earlier than {} ",
                    basic(*signed),
                    basic(*now - *life)
                )?;
                write!(f, "({} - {} sec.)", basic(*now), life.as_secs())
            }
            Self::Payload => f.write_str("The value of 'x-amz-content-sha256' is not the hash of the body."),
            Self::Mismatch { canonical, to_sign } => write!(
                f,
                "The request signature we calculated does not match the signature you provided. Check your AWS \
                 Secret Access Key and signing method. Consult the service documentation for details.\n\n\
                 The Canonical String for this request should have been\n'{canonical}'\n\n\
                 The String-to-Sign should have been\n'{to_sign}'\n"
            ),
        }
    }
}
