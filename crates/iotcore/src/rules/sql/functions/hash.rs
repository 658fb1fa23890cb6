//! Hash functions, as lower-case hexadecimal digits.

use std::fmt::Write;

use aws_lc_rs::digest;

use super::Function;

/// The hash of `bytes` that `function` is.
pub(super) fn hex(function: Function, bytes: &[u8]) -> String {
    let algorithm = match function {
        Function::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        Function::Sha224 => &digest::SHA224,
        Function::Sha256 => &digest::SHA256,
        Function::Sha384 => &digest::SHA384,
        Function::Sha512 => &digest::SHA512,
        _ => return written(&md5(bytes)),
    };
    written(digest::digest(algorithm, bytes).as_ref())
}

fn written(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// MD5 (RFC 1321), which no library of ours has any more. It protects nothing here.
fn md5(bytes: &[u8]) -> [u8; 16] {
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let mut padded = bytes.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64), 0);
    if padded.len() - bytes.len() < 9 {
        padded.resize(padded.len() + 64, 0);
    }
    let bits = (bytes.len() as u64).wrapping_mul(8).to_le_bytes();
    let end = padded.len() - 8;
    padded.truncate(end);
    padded.extend_from_slice(&bits);
    for block in padded.chunks_exact(64) {
        let mut words = [0u32; 16];
        for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        state = round(state, &words);
    }
    let mut out = [0; 16];
    for (bytes, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_le_bytes();
    }
    out
}

/// RFC 1321 §3.4: four rounds of sixteen steps on one block.
fn round(state: [u32; 4], words: &[u32; 16]) -> [u32; 4] {
    const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    let [mut a, mut b, mut c, mut d] = state;
    for (round, shifts) in SHIFTS.iter().enumerate() {
        for step in 0..16 {
            let (mix, index) = match round {
                0 => ((b & c) | (!b & d), step),
                1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
                2 => (b ^ c ^ d, (3 * step + 5) % 16),
                _ => (c ^ (b | !d), 7 * step % 16),
            };
            let word = words.get(index).copied().unwrap_or_default();
            let shift = shifts.get(step % 4).copied().unwrap_or_default();
            let sum = a.wrapping_add(mix).wrapping_add(constant(16 * round + step)).wrapping_add(word);
            (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(shift)));
        }
    }
    let [e, f, g, h] = state;
    [a.wrapping_add(e), b.wrapping_add(f), c.wrapping_add(g), d.wrapping_add(h)]
}

/// RFC 1321 §3.4: the whole part of 2^32 times abs(sin(i + 1)).
fn constant(index: usize) -> u32 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the value is within 0 and 2^32, the index below 64"
    )]
    let constant = (((index + 1) as f64).sin().abs() * 4_294_967_296.0) as u32;
    constant
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1321 §A.5.
    #[test]
    fn md5_has_the_values_of_the_rfc() {
        for (text, hash) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ] {
            assert_eq!(hex(Function::Md5, text.as_bytes()), hash);
        }
        // Developer Guide, iot-sql-json.
        assert_eq!(hex(Function::Md5, b"iot123"), "e37f81fb397e595c4aeb5645b8cbbbd1");
        for length in 54..=66 {
            assert_eq!(hex(Function::Md5, &vec![b'a'; length]).len(), 32);
        }
    }

    #[test]
    fn sha256_is_what_everyone_has() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex(Function::Sha256, b""), empty);
    }
}
