//! Percent-encoding, and forms (WHATWG URL, application/x-www-form-urlencoded).

/// A text of a URL without its percent-encoding; `None` when what it stands for is no UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let pair = after.split_first_chunk::<2>().filter(|_| byte == b'%');
        match pair.and_then(|(pair, after)| Some((hex(*pair)?, after))) {
            Some((decoded, after)) => {
                bytes.push(decoded);
                rest = after;
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// A text as it may stand in a path segment or a query.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The names and values of a form, in their order. What is no UTF-8 is left out.
pub(crate) fn form(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let plain = |part: &str| decode(&part.replace('+', " "));
            Some((plain(name)?, plain(value)?))
        })
        .collect()
}

fn hex([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_is_the_reverse_of_encoding() {
        for text in ["", "a b+c", "ü/../%", "<script>", "a:b_c-d"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_percent_sign_that_encodes_nothing_stays_and_rubbish_is_none() {
        assert_eq!(decode("100%").as_deref(), Some("100%"));
        assert_eq!(decode("%zz%4").as_deref(), Some("%zz%4"));
        assert_eq!(decode("%+1").as_deref(), Some("%+1"));
        assert_eq!(decode("%ff"), None);
    }

    #[test]
    fn a_form_is_read_in_its_order() {
        let pairs = form("thing=a&thing=b+c&empty=&bare&&x=%3D%26");
        let expected = [("thing", "a"), ("thing", "b c"), ("empty", ""), ("bare", ""), ("x", "=&")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
