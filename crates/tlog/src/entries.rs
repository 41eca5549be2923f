//! Entry bundles of C2SP tlog-tiles: records, each after its length in two bytes, big-endian.

use std::fmt;

/// The body of an entry bundle.
///
/// # Errors
///
/// [`EntriesError::TooLong`] if a record has more than 65,535 bytes.
pub fn join_entries<T: AsRef<[u8]>>(records: impl IntoIterator<Item = T>) -> Result<Vec<u8>, EntriesError> {
    let mut body = Vec::new();
    for record in records {
        let record = record.as_ref();
        let length = u16::try_from(record.len()).map_err(|_| EntriesError::TooLong(record.len()))?;
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(record);
    }
    Ok(body)
}

/// Takes an entry bundle apart into `count` records, the inverse of [`join_entries`].
///
/// # Errors
///
/// [`EntriesError::TooFew`] if the body ends early, [`EntriesError::TooMany`] if it goes on.
pub fn split_entries(body: &[u8], count: u16) -> Result<Vec<&[u8]>, EntriesError> {
    let mut records = Vec::with_capacity(usize::from(count));
    let mut rest = body;
    for got in 0..count {
        let record;
        (record, rest) = split_entry(rest).ok_or(EntriesError::TooFew { got })?;
        records.push(record);
    }
    if rest.is_empty() { Ok(records) } else { Err(EntriesError::TooMany) }
}

fn split_entry(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

/// Records do not fit an entry bundle, or a body is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntriesError {
    /// A record of this many bytes is too long to be written.
    TooLong(usize),
    /// The body ends early.
    TooFew {
        /// Whole records found.
        got: u16,
    },
    /// Something follows the last record.
    TooMany,
}

impl fmt::Display for EntriesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(bytes) => write!(f, "a record of {bytes} bytes does not fit an entry bundle"),
            Self::TooFew { got } => write!(f, "an entry bundle ends after {got} records"),
            Self::TooMany => f.write_str("an entry bundle goes on after its last record"),
        }
    }
}

impl std::error::Error for EntriesError {}
