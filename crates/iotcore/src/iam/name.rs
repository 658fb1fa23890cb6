//! Names, paths and identifiers as IAM has them.

use super::IamError;

/// Characters of an identifier after its prefix: Crockford-like base 32, as IAM's look.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A name: 1 to `longest` of `[\w+=,.@-]`.
pub(super) fn check(member: &str, name: &str, longest: usize) -> Result<(), IamError> {
    if name.is_empty() || name.len() > longest {
        let constraint = if name.is_empty() {
            "Member must have length greater than or equal to 1".to_owned()
        } else {
            format!("Member must have length less than or equal to {longest}")
        };
        return Err(violation(member, name, &constraint));
    }
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)) {
        return Ok(());
    }
    Err(IamError::Validation(format!(
        "The specified value for {member} is invalid. It must contain only alphanumeric characters and/or the \
         following: +=,.@_-"
    )))
}

/// A path: `/`, or printable ASCII between two of them.
pub(super) fn check_path(path: &str) -> Result<(), IamError> {
    let printable = path.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    if printable && path.len() <= 512 && path.starts_with('/') && path.ends_with('/') {
        return Ok(());
    }
    Err(IamError::Validation(
        "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric \
         characters and/or / characters."
            .to_owned(),
    ))
}

/// A description: at most 1000 characters.
pub(super) fn check_description(description: Option<&str>) -> Result<(), IamError> {
    match description {
        Some(text) if text.chars().count() > 1000 => {
            Err(violation("description", text, "Member must have length less than or equal to 1000"))
        }
        _ => Ok(()),
    }
}

/// What a member breaks, in the words of AWS's request validation.
pub(super) fn violation(member: &str, value: &str, constraint: &str) -> IamError {
    let value: String = value.chars().take(256).collect();
    IamError::Validation(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
    ))
}

/// A new identifier: `AROA` for a role, `ANPA` for a policy, and seventeen characters by chance.
pub(super) fn identifier(prefix: &str) -> Result<String, IamError> {
    let mut random = [0_u8; 17];
    getrandom::fill(&mut random).map_err(|error| IamError::Failure(error.to_string()))?;
    let letter = |byte: &u8| ALPHABET.get(usize::from(byte & 31)).copied().map_or('A', char::from);
    Ok(prefix.chars().chain(random.iter().map(letter)).collect())
}
