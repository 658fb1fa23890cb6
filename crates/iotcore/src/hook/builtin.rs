//! The built-in hooks: a list of serials, and "only your own thing". Of a function, only whether it was asked.

use fleetkey_model::certificate::CertificateStatus;
use fleetkey_model::name::{ClientId, SerialNumber, ThingName};
use fleetkey_model::provisioning::SERIAL_PARAMETER;

use crate::provisioning::{Caller, Register};
use crate::registry::{BuiltinHook, Registry, SerialPattern};

/// Whether `hook` lets `caller` provision `thing` as it requests.
///
/// What is too long for a serial matches no pattern: the thing could never rotate, its verification session would
/// find no client id.
pub(crate) fn allows(
    hook: &BuiltinHook,
    registry: &Registry,
    caller: &Caller,
    thing: &ThingName,
    request: &Register,
) -> bool {
    match hook {
        BuiltinHook::Serials { allow } => request
            .parameters
            .get(SERIAL_PARAMETER)
            .filter(|serial| SerialNumber::new(serial.as_str()).is_ok())
            .is_some_and(|serial| allow.iter().any(|SerialPattern(pattern)| matches(pattern, serial))),
        BuiltinHook::OwnThing => holds(registry, caller, thing),
        BuiltinHook::Function { arn } => request.allowed_by.as_ref() == Some(arn),
    }
}

/// The caller's certificate is the thing's and still ACTIVE, and its client id is the thing's live session or its
/// agent. A verification session (`<thing>~verify`) asks for nothing.
fn holds(registry: &Registry, caller: &Caller, thing: &ThingName) -> bool {
    let active = registry
        .certificate(&caller.principal)
        .is_some_and(|record| record.status == CertificateStatus::Active);
    let own_client = caller.client_id == ClientId::live(thing) || caller.client_id == ClientId::agent(thing);
    active && own_client && registry.is_attached(&caller.principal, thing)
}

/// Whether `text` is what the pattern says: `*` is any run of characters, `?` any one.
/// On a mismatch only the last star is tried again, one character longer: never exponential.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    let mut star: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let before_text = text.clone();
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                star = Some((pattern.clone(), before_text.clone()));
                text = before_text;
            }
            (Some(want), Some(found)) if want == '?' || want == found => {}
            _ => {
                let Some((after_star, mut retry)) = star.take() else {
                    return false;
                };
                if retry.next().is_none() {
                    return false;
                }
                star = Some((after_star.clone(), retry.clone()));
                (pattern, text) = (after_star, retry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_people_expect() {
        let table = [
            ("A1", "A1", true),
            ("A1", "A12", false),
            ("PM500-*", "PM500-0001", true),
            ("PM500-*", "PM500-", true),
            ("PM500-*", "PM501-1", false),
            ("*-??", "a-b-12", true),
            ("*-??", "a-b-123", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("?", "", false),
            ("a*b*c", "axxbyybzzc", true),
            ("a*b*c", "axxbyybzz", false),
        ];
        for (pattern, serial, expected) in table {
            assert_eq!(matches(pattern, serial), expected, "{pattern:?} {serial}");
        }
    }
}
