//! A zip without compression, the same bytes for the same files on every machine and day.
//!
//! Lambda compares code by the SHA-256 of its archive, so an archive that held the time would differ at every run. The
//! hook is a few kilobytes: there is nothing to compress. Format: PKWARE APPNOTE 6.3, sections 4.3.7, 4.3.12, 4.3.16.

/// 1980-01-01, the first day that the format knows.
const DATE: u16 = (1 << 5) | 1;
/// Made on Unix, by version 2.0 of the format; needed to extract: 1.0.
const MADE_BY: u16 = (3 << 8) | 20;
const NEEDED: u16 = 10;
/// A regular file that everybody may read: Lambda runs it as somebody else.
const ATTRIBUTES: u32 = 0o100_644 << 16;
/// Names are UTF-8 (bit 11).
const FLAGS: u16 = 1 << 11;

/// Packs files, in the order given. Names are paths with `/`.
///
/// Sizes are kept in 32 bits: what is larger than 4 GiB does not fit, and Lambda takes 50 MB.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in files {
        let offset = length(archive.len());
        archive.extend(0x0403_4b50_u32.to_le_bytes());
        let common = common(name, content);
        archive.extend(&common);
        archive.extend(name.as_bytes());
        archive.extend(*content);
        directory.extend(0x0201_4b50_u32.to_le_bytes());
        directory.extend(MADE_BY.to_le_bytes());
        directory.extend(&common);
        // No comment, first disk, no internal attributes.
        directory.extend([0; 6]);
        directory.extend(ATTRIBUTES.to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, size) = (length(archive.len()), length(directory.len()));
    let count = u16::try_from(files.len()).unwrap_or(u16::MAX);
    archive.extend(directory);
    archive.extend(0x0605_4b50_u32.to_le_bytes());
    archive.extend([0; 4]);
    archive.extend(count.to_le_bytes());
    archive.extend(count.to_le_bytes());
    archive.extend(size.to_le_bytes());
    archive.extend(start.to_le_bytes());
    archive.extend([0; 2]);
    archive
}

/// What the two headers of a file share: from the version needed to the length of the extra field.
fn common(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = Vec::new();
    for word in [NEEDED, FLAGS, 0, 0, DATE] {
        header.extend(word.to_le_bytes());
    }
    let size = length(content.len());
    for double in [crc32(content), size, size] {
        header.extend(double.to_le_bytes());
    }
    let name = u16::try_from(name.len()).unwrap_or(u16::MAX);
    header.extend(name.to_le_bytes());
    header.extend([0; 2]);
    header
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// CRC-32 as zip has it (reflected, polynomial EDB88320), bit by bit: the files are small.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_standards() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    /// Python's zipfile is what Lambda's runtime is made with.
    #[test]
    fn another_program_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.zip");
        std::fs::write(&path, zip(&[("a.py", b"print(1)\n"), ("b.json", "{\"\u{e4}\":1}".as_bytes())]))
            .unwrap();
        let script = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; \
                      assert z.namelist() == ['a.py', 'b.json']; assert z.read('a.py') == b'print(1)\\n'; \
                      assert z.infolist()[0].external_attr >> 16 == 0o100644";
        let run = std::process::Command::new("python3").args(["-c", script]).arg(&path).output();
        let run = run.expect("python3 is needed for this test");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }

    #[test]
    fn the_same_files_are_the_same_bytes() {
        assert_eq!(zip(&[("a", b"1")]), zip(&[("a", b"1")]));
        assert_eq!(zip(&[]).len(), 22);
    }
}
