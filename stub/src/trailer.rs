//! The trailer: one printable line at the very end of an artifact.
//!
//! It is the zip archive's comment, so it is text (zip tools print comments), and it has a fixed length
//! and fixed field widths, so that the launcher finds it with one read and no search:
//!
//! ```text
//! bundle/1 record=<16 hex>+<8 hex> payload=<16 hex> size=<16 hex> content=<64 hex> crc=<8 hex>\n
//! ```
//!
//! Invariant: a trailer that parses describes ranges that lie inside a file of exactly `size` bytes.

use std::fmt::Write as _;

/// Length of the trailer in bytes.
pub const TRAILER_LENGTH: usize = 9 + 7 + 16 + 1 + 8 + 1 + 8 + 16 + 1 + 5 + 16 + 1 + 8 + 64 + 1 + 4 + 8 + 1;

/// Length of a content digest (SHA-256) in bytes.
pub const CONTENT_DIGEST_LENGTH: usize = 32;

const MAGIC: &str = "bundle/";
const VERSION: &str = "1";

/// The largest launch record that is believed, in bytes; real ones are a few hundred.
pub const MAX_RECORD_LENGTH: u32 = 1 << 20;

/// Where the launch record and the payload of an artifact are, and what the payload contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// Offset of the launch record from the start of the file, in bytes.
    pub record_offset: u64,
    /// Length of the launch record in bytes.
    pub record_length: u32,
    /// Offset of the first zip entry from the start of the file: the length of the launcher, in bytes.
    pub payload_offset: u64,
    /// Length of the whole file in bytes.
    pub file_length: u64,
    /// SHA-256 over the sorted list of unpacked files (hash, mode, size and name of each); names the tree.
    pub content_digest: [u8; CONTENT_DIGEST_LENGTH],
}

/// Why the end of a file is not a trailer that this program can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrailerError {
    /// The file does not end in a trailer.
    #[error("the file does not end in a `bundle` trailer: it is no artifact, or it was cut short")]
    Missing,
    /// The trailer's format version is not this program's.
    #[error("the artifact has format version `{found}`, this program reads version `{VERSION}`")]
    Version {
        /// The version that stands in the trailer.
        found: String,
    },
    /// A field does not parse, or the checksum does not match.
    #[error("the trailer is damaged: {0}")]
    Damaged(&'static str),
    /// The file's length is not the one it was built with.
    #[error("the file is {actual} bytes long, it was built with {expected}: it was cut short or added to")]
    Length {
        /// Length recorded when the artifact was built, in bytes.
        expected: u64,
        /// Length of the file at hand, in bytes.
        actual: u64,
    },
}

impl Trailer {
    /// Writes the trailer for a launch record with the given bytes.
    pub fn to_bytes(self, record: &[u8]) -> [u8; TRAILER_LENGTH] {
        let mut text = format!(
            "{MAGIC}{VERSION} record={:016x}+{:08x} payload={:016x} size={:016x} content=",
            self.record_offset, self.record_length, self.payload_offset, self.file_length,
        );
        for byte in self.content_digest {
            let _ = write!(text, "{byte:02x}");
        }
        let crc = checksum(text.as_bytes(), record);
        let _ = writeln!(text, " crc={crc:08x}");
        let mut bytes = [b' '; TRAILER_LENGTH];
        bytes.copy_from_slice(text.as_bytes());
        bytes
    }

    /// Reads a trailer from the last [`TRAILER_LENGTH`] bytes of a file of `file_length` bytes.
    ///
    /// The checksum also covers the launch record: see [`Trailer::check_record`].
    pub fn parse(bytes: &[u8; TRAILER_LENGTH], file_length: u64) -> Result<Self, TrailerError> {
        let mut fields = Fields { rest: bytes };
        if fields.take(MAGIC.len()) != MAGIC.as_bytes() {
            return Err(TrailerError::Missing);
        }
        let version = fields.take(VERSION.len());
        if version != VERSION.as_bytes() || fields.rest.first() != Some(&b' ') {
            return Err(TrailerError::Version { found: String::from_utf8_lossy(version).into_owned() });
        }
        fields.literal(" record=")?;
        let record_offset = fields.hex(16)?;
        fields.literal("+")?;
        let record_length = fields.hex(8)?;
        fields.literal(" payload=")?;
        let payload_offset = fields.hex(16)?;
        fields.literal(" size=")?;
        let expected_length = fields.hex(16)?;
        fields.literal(" content=")?;
        let mut content_digest = [0; CONTENT_DIGEST_LENGTH];
        for byte in &mut content_digest {
            *byte = u8::try_from(fields.hex(2)?).map_err(|_| TrailerError::Damaged("its digest"))?;
        }
        fields.literal(" crc=")?;
        fields.hex(8)?;
        fields.literal("\n")?;

        if expected_length != file_length {
            return Err(TrailerError::Length { expected: expected_length, actual: file_length });
        }
        let record_length = u32::try_from(record_length).map_err(|_| TrailerError::Damaged("the record's length"))?;
        let record_end = record_offset.checked_add(u64::from(record_length));
        if record_length > MAX_RECORD_LENGTH
            || payload_offset > record_offset
            || record_end.is_none_or(|end| end > file_length - TRAILER_LENGTH as u64)
        {
            return Err(TrailerError::Damaged("the record lies outside the file"));
        }
        Ok(Self { record_offset, record_length, payload_offset, file_length, content_digest })
    }

    /// Checks the launch record's bytes and the trailer itself against the trailer's checksum (CRC-32).
    pub fn check_record(trailer: &[u8; TRAILER_LENGTH], record: &[u8]) -> Result<(), TrailerError> {
        let (text, tail) = trailer.split_at(TRAILER_LENGTH - " crc=00000000\n".len());
        let expected = Fields { rest: &tail[" crc=".len()..] }.hex(8)?;
        if u64::from(checksum(text, record)) == expected {
            Ok(())
        } else {
            Err(TrailerError::Damaged("its checksum does not match the launch record"))
        }
    }
}

fn checksum(text: &[u8], record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(text);
    hasher.update(record);
    hasher.finalize()
}

struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (head, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        head
    }

    fn literal(&mut self, text: &'static str) -> Result<(), TrailerError> {
        if self.take(text.len()) == text.as_bytes() {
            Ok(())
        } else {
            Err(TrailerError::Damaged("a field is not where it belongs"))
        }
    }

    fn hex(&mut self, digits: usize) -> Result<u64, TrailerError> {
        self.take(digits).iter().try_fold(0_u64, |value, &digit| {
            let digit = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return Err(TrailerError::Damaged("a number is not hexadecimal")),
            };
            Ok(value << 4 | u64::from(digit))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] = b"{}";

    fn sample() -> Trailer {
        Trailer {
            record_offset: 5000,
            record_length: 2,
            payload_offset: 4096,
            file_length: 1 << 33,
            content_digest: [0xab; CONTENT_DIGEST_LENGTH],
        }
    }

    #[test]
    fn round_trip_is_one_printable_line() {
        let bytes = sample().to_bytes(RECORD);
        assert!(bytes[..TRAILER_LENGTH - 1].iter().all(|byte| byte.is_ascii_graphic() || *byte == b' '));
        assert_eq!(bytes[TRAILER_LENGTH - 1], b'\n');
        assert_eq!(Trailer::parse(&bytes, 1 << 33), Ok(sample()));
        assert_eq!(Trailer::check_record(&bytes, RECORD), Ok(()));
        assert!(Trailer::check_record(&bytes, b"{ }").is_err());
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let good = sample().to_bytes(RECORD);
        for index in 0..TRAILER_LENGTH {
            let mut bad = good;
            bad[index] ^= 1;
            let noticed = Trailer::parse(&bad, 1 << 33).is_err() || Trailer::check_record(&bad, RECORD).is_err();
            assert!(noticed, "byte {index} changed without notice");
        }
    }

    #[test]
    fn a_file_of_another_length_is_refused() {
        let bytes = sample().to_bytes(RECORD);
        assert_eq!(Trailer::parse(&bytes, 77_777), Err(TrailerError::Length { expected: 1 << 33, actual: 77_777 }));
    }

    #[test]
    fn a_record_outside_the_file_is_refused() {
        let trailer = Trailer { record_offset: (1 << 33) - 3, ..sample() };
        assert!(matches!(Trailer::parse(&trailer.to_bytes(RECORD), 1 << 33), Err(TrailerError::Damaged(_))));
        let trailer = Trailer { record_offset: u64::MAX, ..sample() };
        assert!(Trailer::parse(&trailer.to_bytes(RECORD), 1 << 33).is_err());
    }
}
