//! The functions of the language: names, how many arguments, and what each is worth.
//!
//! A function that is given what it cannot use is Undefined (Developer Guide, iot-sql-functions).

use base64ct::{Base64, Encoding};
use fleetkey_mqtt::Property;
use serde_json::{Value as Json, json};

use super::eval::{Scope, Sender, Value};
use super::expr::Expr;
use super::value::{Number, text, truth};
use crate::events::session_identifier;

mod hash;
mod numeric;
mod textual;
mod time;

/// Declares functions once: variant, name in lower case, how many arguments.
macro_rules! functions {
    ($($variant:ident $name:literal $least:literal $most:expr;)+) => {
        /// A function that can be called.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Function { $($variant,)+ }

        impl Function {
            const ALL: &[(&'static str, Self)] = &[$(($name, Self::$variant),)+];

            /// Whether it can be called with `count` arguments.
            pub(super) const fn takes(self, count: usize) -> bool {
                let (least, most): (usize, usize) = match self { $(Self::$variant => ($least, $most),)+ };
                least <= count && count <= most
            }
        }
    };
}

functions! {
    Topic "topic" 0 1; ClientId "clientid" 0 0; Principal "principal" 0 0; Timestamp "timestamp" 0 0;
    TraceId "traceid" 0 0; AccountId "accountid" 0 0; SourceIp "sourceip" 0 0; NewUuid "newuuid" 0 0;
    MqttProperty "get_mqtt_property" 1 1; UserProperties "get_user_properties" 0 1;
    Encode "encode" 2 2; Decode "decode" 2 2; Get "get" 2 2; GetOrDefault "get_or_default" 2 2;
    IsNull "isnull" 1 1; IsUndefined "isundefined" 1 1; Nanvl "nanvl" 2 2;
    Lower "lower" 1 1; Upper "upper" 1 1; Concat "concat" 0 usize::MAX; Substring "substring" 2 3;
    StartsWith "startswith" 2 2; EndsWith "endswith" 2 2; IndexOf "indexof" 2 2; Length "length" 1 1;
    NumBytes "numbytes" 1 1; Trim "trim" 1 1; Ltrim "ltrim" 1 1; Rtrim "rtrim" 1 1; Replace "replace" 3 3;
    Abs "abs" 1 1; Ceil "ceil" 1 1; Floor "floor" 1 1; Round "round" 1 1; Trunc "trunc" 2 2; Sign "sign" 1 1;
    Sqrt "sqrt" 1 1; Power "power" 2 2; Mod "mod" 2 2; Remainder "remainder" 2 2;
    Md5 "md5" 1 1; Sha1 "sha1" 1 1; Sha224 "sha224" 1 1; Sha256 "sha256" 1 1; Sha384 "sha384" 1 1;
    Sha512 "sha512" 1 1;
    ParseTime "parse_time" 2 3;
}

/// Functions of AWS that the local IoT Core does not have.
const UNSUPPORTED: [&str; 33] = [
    "acos",
    "asin",
    "atan",
    "atan2",
    "aws_lambda",
    "bitand",
    "bitor",
    "bitxor",
    "bitnot",
    "chr",
    "cos",
    "cosh",
    "exp",
    "get_dynamodb",
    "get_registry_data",
    "get_secret",
    "get_thing_shadow",
    "ln",
    "log",
    "lpad",
    "machinelearning_predict",
    "md2",
    "rand",
    "regexp_matches",
    "regexp_replace",
    "regexp_substr",
    "rpad",
    "sin",
    "sinh",
    "sql_version",
    "tan",
    "tanh",
    "time_to_epoch",
];

/// Why a name is no function that can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoFunction {
    /// AWS has it.
    Unsupported,
    /// Nobody has it.
    Unknown,
}

impl NoFunction {
    pub(super) fn message(self, name: &str) -> String {
        match self {
            Self::Unsupported => format!("Function {name} is not supported by the local IoT Core"),
            Self::Unknown => format!("Unknown function {name}"),
        }
    }
}

impl Function {
    /// The function with this name in lower case.
    pub(super) fn named(name: &str) -> Result<Self, NoFunction> {
        let known = Self::ALL.iter().find(|(own, _)| *own == name).map(|(_, function)| *function);
        let why = if UNSUPPORTED.contains(&name) { NoFunction::Unsupported } else { NoFunction::Unknown };
        known.ok_or(why)
    }

    /// What it is worth.
    pub(super) fn call(self, scope: &Scope<'_>, arguments: &[Expr]) -> Value {
        let message = scope.message;
        let argument = |index: usize| scope.eval(arguments.get(index)?);
        let number = |index: usize| Number::of(&argument(index)?);
        match self {
            Self::Topic if arguments.is_empty() => Some(message.topic.into()),
            Self::Topic => {
                let level = usize::try_from(number(0)?.as_whole()?).ok()?.checked_sub(1)?;
                message.topic.split('/').nth(level).map(Json::from)
            }
            Self::ClientId => Some(client_id(message.sender)),
            Self::Principal => principal(message.sender),
            Self::Timestamp => Some(message.now.as_millis().into()),
            Self::TraceId => Some(message.trace.into()),
            Self::AccountId => Some(message.account.into()),
            Self::SourceIp => match message.sender {
                Sender::Device { source, .. } => source.map(|source| source.to_string().into()),
                Sender::Caller { .. } | Sender::Broker => None,
            },
            Self::NewUuid => Some(session_identifier().into()),
            Self::MqttProperty => mqtt_property(scope, argument(0)?.as_str()?),
            Self::UserProperties => user_properties(scope, arguments.first().map(|key| scope.eval(key))),
            Self::Encode => encode(scope, arguments),
            Self::Decode => decode(&argument(0)?, &argument(1)?),
            Self::Get => get(argument(0)?, &argument(1)?),
            Self::GetOrDefault => argument(0).filter(|value| !value.is_null()).or_else(|| argument(1)),
            Self::IsNull => Some(argument(0).is_some_and(|value| value.is_null()).into()),
            Self::IsUndefined => Some(argument(0).is_none().into()),
            Self::Nanvl => number(0).and_then(Number::json).or_else(|| argument(1)),
            Self::Concat => textual::concat(arguments.iter().map(|argument| scope.eval(argument)).collect()),
            Self::Substring => {
                let end = if arguments.len() > 2 { Some(number(2)?.as_whole()?) } else { None };
                textual::substring(&text(&argument(0)?)?, number(1)?.as_whole()?, end)
            }
            Self::Lower
            | Self::Upper
            | Self::Trim
            | Self::Ltrim
            | Self::Rtrim
            | Self::Length
            | Self::NumBytes => textual::of_one(self, &text(&argument(0)?)?),
            Self::StartsWith | Self::EndsWith | Self::IndexOf => {
                textual::of_two(self, &text(&argument(0)?)?, &text(&argument(1)?)?)
            }
            Self::Replace => {
                textual::replace(&text(&argument(0)?)?, &text(&argument(1)?)?, &text(&argument(2)?)?)
            }
            Self::Abs | Self::Ceil | Self::Floor | Self::Round | Self::Sign | Self::Sqrt => {
                numeric::of_one(self, number(0)?)
            }
            Self::Trunc | Self::Power | Self::Mod | Self::Remainder => {
                numeric::of_two(self, number(0)?, number(1)?)
            }
            Self::Md5 | Self::Sha1 | Self::Sha224 | Self::Sha256 | Self::Sha384 | Self::Sha512 => {
                Some(hash::hex(self, text(&argument(0)?)?.as_bytes()).into())
            }
            Self::ParseTime => {
                let zone = if arguments.len() > 2 { Some(argument(2)?) } else { None };
                time::parse_time(argument(0)?.as_str()?, number(1)?.as_whole()?, zone.as_ref())
            }
        }
    }
}

/// Developer Guide: the client id, or `n/a` for what did not come over MQTT.
fn client_id(sender: Sender<'_>) -> Json {
    match sender {
        Sender::Device { client: Some(client), .. } => client.as_str().into(),
        Sender::Device { client: None, .. } | Sender::Caller { .. } | Sender::Broker => "n/a".into(),
    }
}

/// Developer Guide: the thumbprint of the certificate, or the caller's role or user.
fn principal(sender: Sender<'_>) -> Value {
    match sender {
        Sender::Device { certificate, .. } => Some(certificate.to_string().into()),
        Sender::Caller { principal } => Some(principal.into()),
        Sender::Broker => None,
    }
}

fn mqtt_property(scope: &Scope<'_>, name: &str) -> Value {
    let mut properties = scope.message.properties.iter();
    properties.find_map(|property| match (name, property) {
        ("content_type", Property::ContentType(text)) => Some(text.as_str().into()),
        ("response_topic", Property::ResponseTopic(text)) => Some(text.as_str().into()),
        ("correlation_data", Property::CorrelationData(data)) => Some(to_base64(data).into()),
        ("format_indicator", Property::PayloadFormatIndicator(1)) => Some("UTF8_DATA".into()),
        ("format_indicator", Property::PayloadFormatIndicator(_)) => Some("UNSPECIFIED_BYTES".into()),
        _ => None,
    })
}

/// With a key its values, without one all of them.
fn user_properties(scope: &Scope<'_>, key: Option<Value>) -> Value {
    let own = scope.message.properties.user_properties();
    let Some(key) = key else {
        return Some(own.map(|(name, value)| json!({ name.as_str(): value.as_str() })).collect());
    };
    let key = key?;
    let key = key.as_str()?;
    let values: Vec<Json> =
        own.filter(|(name, _)| name.as_str() == key).map(|(_, value)| value.as_str().into()).collect();
    (!values.is_empty()).then_some(Json::Array(values))
}

/// Base64 with the standard alphabet and padding.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// The bytes that base64 says; `None` when it is none.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok()
}

/// The base64 of a value's text, or of the payload as it came.
fn encode(scope: &Scope<'_>, arguments: &[Expr]) -> Value {
    let [value, scheme] = arguments else { return None };
    if scope.eval(scheme)? != "base64" {
        return None;
    }
    Some(match value {
        Expr::Payload => to_base64(scope.message.payload).into(),
        value => to_base64(text(&scope.eval(value)?)?.as_bytes()).into(),
    })
}

/// What base64 says: JSON if it is JSON, else text; Null when it can be neither.
fn decode(value: &Json, scheme: &Json) -> Value {
    if scheme != "base64" {
        return None;
    }
    let bytes = from_base64(value.as_str()?);
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    Some(text.map_or(Json::Null, |text| serde_json::from_str(&text).unwrap_or(Json::String(text))))
}

/// A member of an object, or an item of an array or a text.
fn get(value: Json, key: &Json) -> Value {
    match value {
        Json::Object(mut members) => members.remove(key.as_str()?),
        Json::Array(items) => items.into_iter().nth(usize::try_from(Number::of(key)?.as_whole()?).ok()?),
        Json::String(text) => {
            let index = usize::try_from(Number::of(key)?.as_whole()?).ok()?;
            text.chars().nth(index).map(|found| found.to_string().into())
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => None,
    }
}

/// What `cast` can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Text,
    Integer,
    Decimal,
    Boolean,
}

impl Type {
    /// The type with this name, in any case.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "string" | "nvarchar" | "text" | "ntext" | "varchar" => Some(Self::Text),
            "int" | "integer" => Some(Self::Integer),
            "decimal" => Some(Self::Decimal),
            "bool" | "boolean" => Some(Self::Boolean),
            _ => None,
        }
    }

    /// Developer Guide, iot-sql-functions, cast: numbers and Booleans go into each other here only.
    pub(super) fn cast(self, value: &Json) -> Value {
        let number = || match value {
            Json::Bool(truth) => Some(Number::Whole(i128::from(*truth))),
            other => Number::of(other),
        };
        match self {
            Self::Text => text(value).map(Json::String),
            Self::Integer => Number::Whole(number()?.as_whole()?).json(),
            Self::Decimal => number()?.json(),
            Self::Boolean => match value {
                Json::Number(_) => Some((number()?.as_f64() != 0.0).into()),
                other => truth(other).map(Json::Bool),
            },
        }
    }
}
