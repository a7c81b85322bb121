//! What the metadata of a committed offset says: which messages may have been written beyond the offset.
//!
//! ```text
//! v1 open=1041 again=90210:1732096800000
//! ```
//!
//! - `open`: the batch that begins at the committed offset ends with this one, and may have been written. Whoever gets the partition
//!   next must form it again before all others, with the same bounds.
//! - `again`: messages below this offset are read again on purpose. They may have been written in batches of other bounds, and what was
//!   written may be lost, so that a batch's id must not be one that the store remembers from the first time: the number is part of it.

use std::{fmt, str::FromStr};

/// See the module. Offsets are of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) open: Option<i64>,
    pub(crate) again: Option<Again>,
}

/// Reading again what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Again {
    /// The first message that was not written then.
    pub(crate) below: i64,
    /// Tells one such command from the next.
    pub(crate) number: i64,
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
        if let Some(Again { below, number }) = self.again {
            write!(f, " again={below}:{number}")?;
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
            let number = |text: &str| text.parse::<i64>().map_err(|_| unreadable());
            match field.split_once('=').ok_or_else(unreadable)? {
                ("open", last) => note.open = Some(number(last)?),
                ("again", again) => {
                    let (below, command) = again.split_once(':').ok_or_else(unreadable)?;
                    note.again = Some(Again { below: number(below)?, number: number(command)? });
                }
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
        let again = |below, number| Some(Again { below, number });
        for (open, again, text) in [
            (None, None, ""),
            (Some(1041), None, "v1 open=1041"),
            (None, again(7, 3), "v1 again=7:3"),
            (Some(i64::MAX), again(0, -1), "v1 open=9223372036854775807 again=0:-1"),
        ] {
            let note = Note { open, again };
            assert_eq!(note.to_string(), text);
            assert_eq!(text.parse(), Ok(note));
        }
    }

    #[test]
    fn what_others_wrote_is_not_guessed_at() {
        for text in ["lag=5", "v2 open=1", "v1 open", "v1 open=x", "v1 close=1", "v1 again=7", "\u{1F600}"] {
            assert!(text.parse::<Note>().is_err(), "{text}");
        }
    }
}
