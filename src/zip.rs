//! Writing zip archives whose every byte is decided beforehand.
//!
//! All sizes and checksums are known before the first byte is written, so the layout is computed first and
//! several threads then write their own stretch of the file. There are no data descriptors, no times but the
//! one given, and offsets count from the start of the file, launcher included. Specification: APPNOTE.TXT 6.3.10,
//! <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>.

use std::io::{BufWriter, Seek as _, SeekFrom, Write};
use std::sync::Arc;

use rayon::prelude::*;

use crate::wheel::{Member, WheelFile};

/// A value that does not fit into a field's 32 bits stands in a zip64 extra field instead.
const ZIP64_MARK: u32 = u32::MAX;
const ZIP64_MARK_16: u16 = u16::MAX;
const ZIP64_EXTRA_ID: u16 = 1;
const METHOD_STORE: u16 = 0;
const METHOD_DEFLATE: u16 = 8;
/// Made by Unix (3), specification 4.5.
const VERSION_MADE_BY: u16 = 0x0300 | 0x2d;
const VERSION_NEEDED: u16 = 20;
const VERSION_NEEDED_ZIP64: u16 = 45;
const FLAG_UTF8: u16 = 1 << 11;
const UNIX_REGULAR_FILE: u32 = 0o100_000;

/// Bytes that are gathered before they are written, per thread.
const BUFFER_SIZE: usize = 1 << 20;

/// One entry of an archive to be.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    /// Size of the file in bytes.
    pub size: u64,
    /// CRC-32 of the file.
    pub crc32: u32,
    /// Where its compressed bytes come from.
    pub data: EntryData,
}

/// The compressed bytes of an entry.
#[derive(Debug)]
pub enum EntryData {
    /// Kept as they are.
    Stored(Vec<u8>),
    /// Deflated.
    Deflated(Vec<u8>),
    /// To be copied from a wheel without looking at them.
    Copied(Arc<WheelFile>, Member),
}

impl Entry {
    /// An entry with these contents, deflated if that is shorter.
    pub fn from_bytes(name: String, mode: u32, contents: Vec<u8>) -> Self {
        let size = contents.len() as u64;
        let crc32 = crc32fast::hash(&contents);
        let deflated = miniz_oxide::deflate::compress_to_vec(&contents, 6);
        let data =
            if deflated.len() < contents.len() { EntryData::Deflated(deflated) } else { EntryData::Stored(contents) };
        Self { name, mode, size, crc32, data }
    }

    /// An entry with these contents as they are.
    pub fn stored(name: String, mode: u32, contents: Vec<u8>) -> Self {
        let crc32 = crc32fast::hash(&contents);
        Self { name, mode, size: contents.len() as u64, crc32, data: EntryData::Stored(contents) }
    }

    /// An entry with the contents of a wheel's member.
    pub fn copied(name: String, mode: u32, wheel: &Arc<WheelFile>, member: &Member) -> Self {
        let data = EntryData::Copied(Arc::clone(wheel), member.clone());
        Self { name, mode, size: member.size, crc32: member.crc32, data }
    }

    fn compressed_size(&self) -> u64 {
        match &self.data {
            EntryData::Stored(bytes) | EntryData::Deflated(bytes) => bytes.len() as u64,
            EntryData::Copied(_, member) => member.compressed_size,
        }
    }

    fn method(&self) -> u16 {
        match &self.data {
            EntryData::Deflated(_) => METHOD_DEFLATE,
            EntryData::Copied(_, member) if member.deflated => METHOD_DEFLATE,
            EntryData::Stored(_) | EntryData::Copied(..) => METHOD_STORE,
        }
    }

    fn flags(&self) -> u16 {
        if self.name.is_ascii() { 0 } else { FLAG_UTF8 }
    }

    /// Sizes that need zip64 in the local header.
    fn has_large_size(&self) -> bool {
        self.size >= u64::from(ZIP64_MARK) || self.compressed_size() >= u64::from(ZIP64_MARK)
    }

    fn local_header_length(&self) -> u64 {
        let extra = if self.has_large_size() { 4 + 16 } else { 0 };
        30 + self.name.len() as u64 + extra
    }

    /// The fields that local and central headers share, from "version needed" to "file name length".
    fn common_fields(&self, time: DosTime, zip64: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(26);
        bytes.extend(if zip64 { VERSION_NEEDED_ZIP64 } else { VERSION_NEEDED }.to_le_bytes());
        bytes.extend(self.flags().to_le_bytes());
        bytes.extend(self.method().to_le_bytes());
        bytes.extend(time.time.to_le_bytes());
        bytes.extend(time.date.to_le_bytes());
        bytes.extend(self.crc32.to_le_bytes());
        let large = self.has_large_size();
        bytes.extend(narrow(self.compressed_size(), large).to_le_bytes());
        bytes.extend(narrow(self.size, large).to_le_bytes());
        bytes.extend(short_length(self.name.as_bytes()));
        bytes
    }

    fn local_header(&self, time: DosTime) -> Vec<u8> {
        let large = self.has_large_size();
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.extend(self.common_fields(time, large));
        let extra = if large { zip64_extra(&[self.size, self.compressed_size()]) } else { Vec::new() };
        bytes.extend(short_length(&extra));
        bytes.extend(self.name.as_bytes());
        bytes.extend(extra);
        bytes
    }

    fn central_header(&self, time: DosTime, offset: u64) -> Vec<u8> {
        let large = self.has_large_size();
        let far = offset >= u64::from(ZIP64_MARK);
        let mut values = Vec::new();
        if large {
            values.extend([self.size, self.compressed_size()]);
        }
        if far {
            values.push(offset);
        }
        let extra = if values.is_empty() { Vec::new() } else { zip64_extra(&values) };
        let mut bytes = b"PK\x01\x02".to_vec();
        bytes.extend(VERSION_MADE_BY.to_le_bytes());
        bytes.extend(self.common_fields(time, large || far));
        bytes.extend(short_length(&extra));
        // Comment length, disk number, internal attributes.
        bytes.extend([0; 6]);
        bytes.extend(((UNIX_REGULAR_FILE | self.mode) << 16).to_le_bytes());
        bytes.extend(narrow(offset, far).to_le_bytes());
        bytes.extend(self.name.as_bytes());
        bytes.extend(extra);
        bytes
    }

    fn write_data(&self, output: &mut impl Write, buffer: &mut [u8]) -> std::io::Result<()> {
        match &self.data {
            EntryData::Stored(bytes) | EntryData::Deflated(bytes) => output.write_all(bytes),
            EntryData::Copied(wheel, member) => {
                let (mut offset, length) = wheel.data_range(member).map_err(std::io::Error::other)?;
                let end = offset + length;
                while offset < end {
                    let piece = usize::try_from(end - offset).map_or(buffer.len(), |left| left.min(buffer.len()));
                    wheel.read_exact_at(&mut buffer[..piece], offset)?;
                    output.write_all(&buffer[..piece])?;
                    offset += piece as u64;
                }
                Ok(())
            }
        }
    }
}

fn narrow(value: u64, zip64: bool) -> u32 {
    if zip64 { ZIP64_MARK } else { u32::try_from(value).unwrap_or(ZIP64_MARK) }
}

fn zip64_extra(values: &[u64]) -> Vec<u8> {
    let bytes_of_values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut bytes = ZIP64_EXTRA_ID.to_le_bytes().to_vec();
    bytes.extend(short_length(&bytes_of_values));
    bytes.extend(bytes_of_values);
    bytes
}

/// The 16-bit length field of something that is short: names were checked, extra fields are our own.
fn short_length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).expect("names and extra fields are short").to_le_bytes()
}

/// A time in the form of MS-DOS: local time, two-second steps, from 1980 to 2107.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DosTime {
    date: u16,
    time: u16,
}

impl DosTime {
    /// 1 January 1980, 00:00: the earliest time that there is.
    pub const EARLIEST: Self = Self { date: 1 << 5 | 1, time: 0 };

    /// The nearest time to a number of seconds since 1970 in UTC.
    pub fn from_unix(seconds: i64) -> Self {
        let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        if year < 1980 {
            return Self::EARLIEST;
        }
        let (year, month, day, second_of_day) =
            if year > 2107 { (2107, 12, 31, 86_399) } else { (year, month, day, second_of_day) };
        let field = |value: i64| u16::try_from(value).unwrap_or_default();
        Self {
            date: field(year - 1980) << 9 | field(month) << 5 | field(day),
            time: field(second_of_day / 3600) << 11
                | field(second_of_day / 60 % 60) << 5
                | field(second_of_day % 60 / 2),
        }
    }
}

/// Year, month and day of a number of days since 1 January 1970, in the Gregorian calendar.
///
/// After Howard Hinnant, <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Where everything of an archive lies, before anything is written.
#[derive(Debug)]
pub struct Layout {
    entries: Vec<Entry>,
    offsets: Vec<u64>,
    directory_offset: u64,
    time: DosTime,
}

impl Layout {
    /// Lays out entries behind `start` bytes of something else, in the order given.
    pub fn new(start: u64, entries: Vec<Entry>, time: DosTime) -> Self {
        let mut offset = start;
        let mut offsets = Vec::with_capacity(entries.len());
        for entry in &entries {
            offsets.push(offset);
            offset += entry.local_header_length() + entry.compressed_size();
        }
        Self { entries, offsets, directory_offset: offset, time }
    }

    /// Offset and length of the compressed bytes of the entry with this name.
    pub fn data_range(&self, name: &str) -> Option<(u64, u64)> {
        let index = self.entries.iter().position(|entry| entry.name == name)?;
        let entry = &self.entries[index];
        Some((self.offsets[index] + entry.local_header_length(), entry.compressed_size()))
    }

    /// Central directory and end records, with `comment_length` promised for the comment that follows them.
    pub fn directory(&self, comment_length: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (entry, offset) in self.entries.iter().zip(&self.offsets) {
            bytes.extend(entry.central_header(self.time, *offset));
        }
        let count = self.entries.len() as u64;
        let size = bytes.len() as u64;
        let end = self.directory_offset + size;
        let zip64 = count >= u64::from(ZIP64_MARK_16)
            || size >= u64::from(ZIP64_MARK)
            || self.directory_offset >= u64::from(ZIP64_MARK);
        if zip64 {
            bytes.extend(b"PK\x06\x06");
            bytes.extend(44_u64.to_le_bytes());
            bytes.extend(VERSION_MADE_BY.to_le_bytes());
            bytes.extend(VERSION_NEEDED_ZIP64.to_le_bytes());
            bytes.extend([0; 8]);
            for value in [count, count, size, self.directory_offset] {
                bytes.extend(value.to_le_bytes());
            }
            bytes.extend(b"PK\x06\x07");
            bytes.extend([0; 4]);
            bytes.extend(end.to_le_bytes());
            bytes.extend(1_u32.to_le_bytes());
        }
        bytes.extend(b"PK\x05\x06");
        bytes.extend([0; 4]);
        let short_count = if zip64 { ZIP64_MARK_16 } else { u16::try_from(count).unwrap_or(ZIP64_MARK_16) };
        bytes.extend(short_count.to_le_bytes());
        bytes.extend(short_count.to_le_bytes());
        bytes.extend(narrow(size, zip64).to_le_bytes());
        bytes.extend(narrow(self.directory_offset, zip64).to_le_bytes());
        bytes.extend(comment_length.to_le_bytes());
        bytes
    }

    /// Offset of the central directory: the end of the last entry.
    pub fn directory_offset(&self) -> u64 {
        self.directory_offset
    }

    /// Writes all entries into a file, in parallel; `reopen` gives each thread a handle of its own.
    pub fn write_entries<F>(&self, reopen: F) -> std::io::Result<()>
    where
        F: Fn() -> std::io::Result<std::fs::File> + Sync,
    {
        self.stretches(rayon::current_num_threads()).into_par_iter().try_for_each(|(first, end)| {
            let mut file = reopen()?;
            file.seek(SeekFrom::Start(self.offsets[first]))?;
            let mut output = BufWriter::with_capacity(BUFFER_SIZE, file);
            let mut buffer = vec![0; BUFFER_SIZE];
            for entry in &self.entries[first..end] {
                output.write_all(&entry.local_header(self.time))?;
                entry.write_data(&mut output, &mut buffer)?;
            }
            output.flush()
        })
    }

    /// Cuts the entries into stretches of about the same number of bytes, as half-open ranges.
    fn stretches(&self, count: usize) -> Vec<(usize, usize)> {
        let Some(&start) = self.offsets.first() else { return Vec::new() };
        let length = (self.directory_offset - start) / count as u64 + 1;
        let mut stretches = Vec::new();
        let mut first = 0;
        while first < self.entries.len() {
            let limit = self.offsets[first] + length;
            let end = self.offsets.partition_point(|offset| *offset < limit).max(first + 1);
            stretches.push((first, end));
            first = end;
        }
        stretches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        // Fields of 7, 4 and 5 bits, and of 5, 6 and 5 bits.
        let date = |year: u16, month: u16, day: u16| ((year - 1980) * 16 + month) * 32 + day;
        let time = |hour: u16, minute: u16, second: u16| (hour * 64 + minute) * 32 + second / 2;
        assert_eq!(DosTime::from_unix(0), DosTime::EARLIEST);
        assert_eq!(DosTime::from_unix(315_532_800), DosTime::EARLIEST);
        let late = DosTime { date: date(2026, 2, 28), time: time(23, 59, 58) };
        assert_eq!(DosTime::from_unix(1_772_323_198), late);
        assert_eq!(DosTime::from_unix(1_709_164_800).date, date(2024, 2, 29));
        assert_eq!(DosTime::from_unix(i64::from(u32::MAX) * 4).date, date(2107, 12, 31));
    }

    #[test]
    fn stretches_cover_everything_once() {
        let entries: Vec<Entry> = (0..10).map(|n| Entry::stored(format!("{n}"), 0o644, vec![0; n * 100])).collect();
        let layout = Layout::new(1000, entries, DosTime::EARLIEST);
        for count in [1, 2, 3, 20] {
            let stretches = layout.stretches(count);
            assert_eq!(stretches.first().map(|stretch| stretch.0), Some(0));
            assert_eq!(stretches.last().map(|stretch| stretch.1), Some(10));
            assert!(stretches.windows(2).all(|pair| pair[0].1 == pair[1].0), "{stretches:?}");
            assert!(stretches.len() <= count.max(1) + 1);
        }
    }
}
