//! As much CBOR (RFC 8949) as Fleet Provisioning's messages need: maps, arrays, text, integers, true, false, null,
//! of definite or indefinite length. No byte strings, tags or floats: no message has any.

use serde_json::{Map, Value};

/// How deep arrays and maps may nest; the messages need two levels.
const MAX_DEPTH: usize = 8;

/// Why bytes are no CBOR that a message can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum CborError {
    #[error("the CBOR ends too early")]
    Short,
    #[error("the CBOR is malformed, or has a type that no message has")]
    Malformed,
    #[error("the CBOR nests too deep")]
    Deep,
    #[error("bytes follow the CBOR message")]
    Trailing,
}

/// Writes a value with definite lengths.
pub(super) fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

/// Reads one value and nothing after it.
pub(super) fn decode(bytes: &[u8]) -> Result<Value, CborError> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(0)?;
    if reader.rest.is_empty() {
        return Ok(value);
    }
    Err(CborError::Trailing)
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(false) => out.push(0xf4),
        Value::Bool(true) => out.push(0xf5),
        // Every number in an answer is a status code.
        Value::Number(number) => head(0, number.as_u64().unwrap_or(0), out),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            head(4, items.len() as u64, out);
            items.iter().for_each(|item| write(item, out));
        }
        Value::Object(members) => {
            head(5, members.len() as u64, out);
            for (key, value) in members {
                write_text(key, out);
                write(value, out);
            }
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    head(3, text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

/// A major type with its argument in the fewest bytes.
fn head(major: u8, argument: u64, out: &mut Vec<u8>) {
    let major = major << 5;
    if let Ok(byte) = u8::try_from(argument) {
        match byte {
            0..24 => out.push(major | byte),
            _ => out.extend_from_slice(&[major | 24, byte]),
        }
    } else if let Ok(word) = u16::try_from(argument) {
        out.push(major | 25);
        out.extend_from_slice(&word.to_be_bytes());
    } else if let Ok(word) = u32::try_from(argument) {
        out.push(major | 26);
        out.extend_from_slice(&word.to_be_bytes());
    } else {
        out.push(major | 27);
        out.extend_from_slice(&argument.to_be_bytes());
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

/// A major type and its argument; `None` for an indefinite length.
type Head = (u8, Option<u64>);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], CborError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(CborError::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn head(&mut self) -> Result<Head, CborError> {
        let (first, rest) = self.rest.split_first().ok_or(CborError::Short)?;
        self.rest = rest;
        let argument = match first & 0x1f {
            small @ 0..24 => Some(u64::from(small)),
            size @ 24..28 => {
                let bytes = self.take(1 << (size - 24))?;
                Some(bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
            }
            31 => None,
            _ => return Err(CborError::Malformed),
        };
        Ok((first >> 5, argument))
    }

    fn value(&mut self, depth: usize) -> Result<Value, CborError> {
        if depth > MAX_DEPTH {
            return Err(CborError::Deep);
        }
        match self.head()? {
            (0, Some(number)) => Ok(Value::from(number)),
            (3, length) => Ok(Value::String(self.text(length)?)),
            (4, length) => self.array(length, depth),
            (5, length) => self.map(length, depth),
            (7, Some(20)) => Ok(Value::Bool(false)),
            (7, Some(21)) => Ok(Value::Bool(true)),
            (7, Some(22 | 23)) => Ok(Value::Null),
            _ => Err(CborError::Malformed),
        }
    }

    fn array(&mut self, length: Option<u64>, depth: usize) -> Result<Value, CborError> {
        let mut items = Vec::new();
        let mut left = length;
        while self.more(&mut left)? {
            items.push(self.value(depth + 1)?);
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, length: Option<u64>, depth: usize) -> Result<Value, CborError> {
        let mut members = Map::new();
        let mut left = length;
        while self.more(&mut left)? {
            let (3, length) = self.head()? else {
                return Err(CborError::Malformed);
            };
            let key = self.text(length)?;
            members.insert(key, self.value(depth + 1)?);
        }
        Ok(Value::Object(members))
    }

    /// Text of a definite length, or chunks of it up to a break.
    fn text(&mut self, length: Option<u64>) -> Result<String, CborError> {
        let Some(length) = length else {
            let mut text = String::new();
            while self.more(&mut None)? {
                match self.head()? {
                    (3, Some(length)) => text.push_str(&self.text(Some(length))?),
                    _ => return Err(CborError::Malformed),
                }
            }
            return Ok(text);
        };
        let length = usize::try_from(length).map_err(|_| CborError::Short)?;
        let bytes = self.take(length)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| CborError::Malformed)
    }

    /// Whether another item follows: counted down, or up to the break.
    fn more(&mut self, left: &mut Option<u64>) -> Result<bool, CborError> {
        match left {
            Some(0) => Ok(false),
            Some(count) => {
                *count -= 1;
                Ok(true)
            }
            None => match self.rest.split_first() {
                Some((0xff, rest)) => {
                    self.rest = rest;
                    Ok(false)
                }
                Some(_) => Ok(true),
                None => Err(CborError::Short),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_reads_back() {
        let long = "x".repeat(70_000);
        let value = json!({"statusCode": 400, "a": {"b": "ü"}, "l": ["1", true, null], "long": long});
        assert_eq!(decode(&encode(&value)), Ok(value));
    }

    #[test]
    fn indefinite_lengths_are_read() {
        // RFC 8949 appendix A: {_ "Fun": true, "Amt": 2}, and (_ "strea", "ming")
        let map = [0xbf, 0x63, b'F', b'u', b'n', 0xf5, 0x63, b'A', b'm', b't', 0x02, 0xff];
        assert_eq!(decode(&map), Ok(json!({"Fun": true, "Amt": 2})));
        let text = b"\x7f\x65strea\x64ming\xff";
        assert_eq!(decode(text), Ok(json!("streaming")));
    }

    #[test]
    fn rubbish_is_refused_without_harm() {
        assert_eq!(decode(&[]), Err(CborError::Short));
        assert_eq!(decode(&[0xf6, 0]), Err(CborError::Trailing));
        assert_eq!(decode(&[0x81; 100]), Err(CborError::Deep));
        assert_eq!(decode(&[0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Err(CborError::Short));
        assert_eq!(decode(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Err(CborError::Short));
        assert_eq!(decode(&[0x41, 0x00]), Err(CborError::Malformed));
    }
}
