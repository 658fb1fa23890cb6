//! Reading what a function's process sends back: one line on its answer channel.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::Outcome;
use crate::functions::MAX_PAYLOAD;

/// The answer, if one comes before the channel is closed.
///
/// A line that begins with neither `R` nor `E` is none: the function has written there itself.
pub(super) async fn read(mut channel: impl AsyncRead + Unpin) -> Option<Outcome> {
    let mut line = Vec::new();
    let mut chunk = vec![0_u8; 64 * 1024];
    loop {
        // Closed or broken: what the process's end means is the caller's.
        let count = channel.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        let new = chunk.get(..count).unwrap_or_default();
        let end = new.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(new.get(..end.unwrap_or(count)).unwrap_or_default());
        if line.len() > MAX_PAYLOAD + 1 {
            return Some(Outcome::TooLarge);
        }
        if end.is_some() {
            break;
        }
    }
    let body = Bytes::from(line);
    match body.first() {
        Some(b'R') => Some(Outcome::Answer(body.slice(1..))),
        Some(b'E') => Some(Outcome::Failed(body.slice(1..))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_one_whole_line_with_its_mark() {
        let answer = Bytes::from_static;
        assert_eq!(read(b"R{}\n".as_slice()).await, Some(Outcome::Answer(answer(b"{}"))));
        assert_eq!(read(b"E{}\nmore".as_slice()).await, Some(Outcome::Failed(answer(b"{}"))));
        for text in ["R{}", "", "\n", "noise\n"] {
            assert_eq!(read(text.as_bytes()).await, None, "{text:?}");
        }
        assert_eq!(read(tokio::io::repeat(b'R')).await, Some(Outcome::TooLarge));
    }
}
