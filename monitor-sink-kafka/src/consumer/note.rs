//! What the metadata of a committed offset says: which messages may have been written beyond the offset.
//!
//! ```text
//! v1 open=1041 written=90210
//! ```
//!
//! - `open`: the batch that begins at the committed offset ends with this one, and may have been written. Whoever gets the partition
//!   next must form it again before all others, with the same bounds.
//! - `written`: messages below this offset may have been written in batches of other bounds (the group was put back to read them again).

use std::{fmt, str::FromStr};

/// See the module. Offsets are of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) open: Option<i64>,
    pub(crate) written: Option<i64>,
}

/// The metadata is none of ours, or of a later version.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the metadata {0:?} of the committed offset cannot be read")]
pub(crate) struct ParseNoteError(String);

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Note::default() {
            return Ok(());
        }
        f.write_str("v1")?;
        if let Some(open) = self.open {
            write!(f, " open={open}")?;
        }
        if let Some(written) = self.written {
            write!(f, " written={written}")?;
        }
        Ok(())
    }
}

impl FromStr for Note {
    type Err = ParseNoteError;

    fn from_str(text: &str) -> Result<Note, ParseNoteError> {
        let mut note = Note::default();
        if text.is_empty() {
            return Ok(note);
        }
        let unreadable = || ParseNoteError(text.chars().take(100).collect());
        for field in text.strip_prefix("v1").ok_or_else(unreadable)?.split_ascii_whitespace() {
            let (name, offset) = field.split_once('=').ok_or_else(unreadable)?;
            let offset = Some(offset.parse().map_err(|_| unreadable())?);
            match name {
                "open" => note.open = offset,
                "written" => note.written = offset,
                _ => return Err(unreadable()),
            }
        }
        Ok(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back_as_they_were_written() {
        for (open, written, text) in [
            (None, None, ""),
            (Some(1041), None, "v1 open=1041"),
            (None, Some(7), "v1 written=7"),
            (Some(i64::MAX), Some(0), "v1 open=9223372036854775807 written=0"),
        ] {
            let note = Note { open, written };
            assert_eq!(note.to_string(), text);
            assert_eq!(text.parse(), Ok(note));
        }
    }

    #[test]
    fn what_others_wrote_is_not_guessed_at() {
        for text in ["lag=5", "v2 open=1", "v1 open", "v1 open=x", "v1 close=1", "\u{1F600}"] {
            assert!(text.parse::<Note>().is_err(), "{text}");
        }
    }
}
