//! A zip writer that does what it is told: it also writes names and modes that no honest archive has.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// 1 January 1980, the first day that the format knows.
const DOS_DATE: u16 = 0x0021;

/// An archive under construction.
#[derive(Default)]
pub(crate) struct ZipWriter {
    bytes: Vec<u8>,
    central_directory: Vec<u8>,
    entries: u16,
}

impl ZipWriter {
    /// Adds an entry, deflated where that is smaller. `mode` is a Unix `st_mode`, file type included.
    pub(crate) fn entry(&mut self, name: &str, data: &[u8], mode: u32) {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).expect("memory");
        let deflated = encoder.finish().expect("memory");
        let (method, stored): (u16, &[u8]) = if deflated.len() < data.len() { (8, &deflated) } else { (0, data) };

        // The fields that the local header and the central directory share.
        let mut common = Vec::new();
        common.extend(20_u16.to_le_bytes()); // version needed
        common.extend(0x0800_u16.to_le_bytes()); // names are UTF-8
        common.extend(method.to_le_bytes());
        common.extend(0_u16.to_le_bytes()); // midnight
        common.extend(DOS_DATE.to_le_bytes());
        common.extend(crc32fast::hash(data).to_le_bytes());
        common.extend(length(stored).to_le_bytes());
        common.extend(length(data).to_le_bytes());
        common.extend(u16::try_from(name.len()).expect("short name").to_le_bytes());
        common.extend(0_u16.to_le_bytes()); // no extra field

        let offset = length(&self.bytes);
        self.bytes.extend(b"PK\x03\x04");
        self.bytes.extend(&common);
        self.bytes.extend(name.as_bytes());
        self.bytes.extend(stored);

        let central = &mut self.central_directory;
        central.extend(b"PK\x01\x02");
        central.extend(0x031e_u16.to_le_bytes()); // made on Unix
        central.extend(&common);
        central.extend([0; 6]); // no comment, first disk, binary
        central.extend((mode << 16).to_le_bytes());
        central.extend(offset.to_le_bytes());
        central.extend(name.as_bytes());
        self.entries += 1;
    }

    /// Ends the archive and returns its bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let offset = length(&self.bytes);
        self.bytes.extend(&self.central_directory);
        self.bytes.extend(b"PK\x05\x06\0\0\0\0");
        self.bytes.extend(self.entries.to_le_bytes());
        self.bytes.extend(self.entries.to_le_bytes());
        self.bytes.extend(length(&self.central_directory).to_le_bytes());
        self.bytes.extend(offset.to_le_bytes());
        self.bytes.extend([0; 2]);
        self.bytes
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("test archives are small")
}
