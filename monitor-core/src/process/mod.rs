//! The built-in processors, one per file. None is used unless the host adds it; [`Each`](crate::Each) makes one of any enricher.

mod per_minute;

pub use per_minute::PerMinute;
