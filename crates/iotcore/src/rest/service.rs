//! The services that share the one address, told apart by the name that a request is signed for.

use super::protocol::Protocol;

/// A service of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Service {
    /// AWS IoT's control plane.
    Iot,
    /// AWS IoT's data plane.
    IotData,
    /// IAM.
    Iam,
    /// STS.
    Sts,
    /// Lambda.
    Lambda,
    /// CloudWatch Logs.
    Logs,
    /// Service Quotas.
    Quotas,
}

impl Service {
    /// All of them.
    pub(crate) const ALL: [Self; 7] =
        [Self::Iot, Self::IotData, Self::Iam, Self::Sts, Self::Lambda, Self::Logs, Self::Quotas];

    /// The service of a credential scope. `iotdevicegateway` is the data plane's older name.
    pub(crate) fn of_scope(name: &str) -> Option<Self> {
        Some(match name {
            "iot" => Self::Iot,
            "iotdata" | "iotdevicegateway" => Self::IotData,
            "iam" => Self::Iam,
            "sts" => Self::Sts,
            "lambda" => Self::Lambda,
            "logs" => Self::Logs,
            "servicequotas" => Self::Quotas,
            _ => return None,
        })
    }

    /// The name in a credential scope.
    pub(crate) const fn signing_name(self) -> &'static str {
        match self {
            Self::Iot => "iot",
            Self::IotData => "iotdata",
            Self::Iam => "iam",
            Self::Sts => "sts",
            Self::Lambda => "lambda",
            Self::Logs => "logs",
            Self::Quotas => "servicequotas",
        }
    }

    /// How the service writes answers.
    pub(crate) const fn protocol(self) -> Protocol {
        match self {
            Self::Iot | Self::IotData => Protocol::RestJson,
            Self::Lambda => Protocol::Lambda,
            Self::Logs => Protocol::Json11("message"),
            Self::Quotas => Protocol::Json11("Message"),
            Self::Iam => Protocol::Query("https://iam.amazonaws.com/doc/2010-05-08/"),
            Self::Sts => Protocol::Query("https://sts.amazonaws.com/doc/2011-06-15/"),
        }
    }

    /// The exception of a member that breaks its constraint.
    pub(crate) const fn validation_code(self) -> &'static str {
        match self {
            Self::Iot | Self::IotData => "InvalidRequestException",
            Self::Iam | Self::Sts => "ValidationError",
            Self::Lambda => "ValidationException",
            Self::Logs => "InvalidParameterException",
            Self::Quotas => "IllegalArgumentException",
        }
    }

    /// The exception of a request that cannot be right otherwise, for example with a page's token of another list.
    pub(crate) const fn invalid_code(self) -> &'static str {
        match self {
            Self::Lambda => "InvalidParameterValueException",
            Self::Iot | Self::IotData | Self::Iam | Self::Sts | Self::Logs | Self::Quotas => {
                self.validation_code()
            }
        }
    }

    /// The longest body in bytes. Lambda's is what it says itself: an archive of 50 MB (quotas page) as base64, and
    /// the rest of CreateFunction.
    pub(crate) const fn body_limit(self) -> usize {
        match self {
            Self::Lambda => 70_167_211,
            Self::Iot | Self::IotData | Self::Iam | Self::Sts | Self::Logs | Self::Quotas => 1 << 20,
        }
    }
}
