//! Carries a result from an engine thread to the HTTP connection.
//!
//! The engine thread pushes blocks into a [`Sink`]; they are compressed there and travel through a channel of a few
//! pieces: a slow reader holds the query back, one that is gone cancels it, one that stalls is given up. The beginning of
//! the result is held back until it is large enough or complete, so that most errors still get their HTTP status. An
//! error after that is written into the body in ClickHouse's way, and the body then breaks off, so that no client can
//! take it for complete:
//!
//! ```text
//! ⏎__exception__⏎<tag>⏎Code: 395. DB::Exception: …⏎<length> <tag>⏎__exception__⏎      (⏎ is CR LF but before <length>)
//! ```

use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::compress::{Coding, Encoder};
use crate::exception::{Exception, code};
use crate::library::Stats;

/// Bytes held back before the answer begins.
const HOLD: usize = 64 << 10;
/// Bytes held back at most with `wait_end_of_query`.
const HOLD_ALL: usize = 64 << 20;
/// Pieces on their way.
const PIECES: usize = 4;
/// The longest time a client may take none of them.
const STALL: Duration = Duration::from_secs(60);

/// What the HTTP side receives: one `Begin`, then data, then `End`. A channel that closes earlier is a broken answer.
pub(crate) enum Part {
    /// Success or not, the output format, and the figures as known by now.
    Begin(Result<(String, Stats), Exception>),
    /// Bytes of the body.
    Data(Bytes),
    /// The body is complete.
    End,
}

/// The client is gone or stalled: there is nobody to work for.
#[derive(Debug)]
pub(crate) struct Gone;

/// The engine's end of an answer.
pub(crate) struct Sink {
    parts: mpsc::Sender<Part>,
    runtime: Handle,
    encoder: Option<Encoder>,
    coding: Coding,
    tag: String,
    hold: usize,
    hold_all: bool,
    held: Vec<u8>,
    begun: bool,
    format: String,
    stats: Stats,
}

impl Sink {
    /// Both ends of an answer. `tag` marks an error in the body; `hold_all` keeps the answer back until it is complete.
    pub(crate) fn new(coding: Coding, tag: String, hold_all: bool) -> (Self, mpsc::Receiver<Part>) {
        let (parts, receiver) = mpsc::channel(PIECES);
        let hold = if hold_all { HOLD_ALL } else { HOLD };
        let runtime = Handle::current();
        let sink = Self {
            parts,
            runtime,
            encoder: None,
            coding,
            tag,
            hold,
            hold_all,
            held: Vec::new(),
            begun: false,
            format: String::new(),
            stats: Stats::default(),
        };
        (sink, receiver)
    }

    /// Notes the output format, for a header.
    pub(crate) fn set_format(&mut self, format: &str) {
        format.clone_into(&mut self.format);
    }

    /// The output format.
    pub(crate) fn format(&self) -> &str {
        &self.format
    }

    /// Adds figures.
    pub(crate) fn count(&mut self, stats: Stats) {
        self.stats.add(stats);
    }

    /// Whether somebody still waits for the answer.
    pub(crate) fn is_gone(&self) -> bool {
        self.parts.is_closed()
    }

    /// Takes a block of the result.
    ///
    /// # Errors
    /// `Ok(Err(Gone))`: stop, nobody is listening. `Err`: the result is over the limit of `wait_end_of_query`.
    pub(crate) fn write(&mut self, block: &[u8]) -> Result<Result<(), Gone>, Exception> {
        if self.begun {
            return Ok(self.compress_and_send(block));
        }
        self.held.extend_from_slice(block);
        if self.held.len() <= self.hold {
            return Ok(if self.is_gone() { Err(Gone) } else { Ok(()) });
        }
        if self.hold_all {
            let message = format_args!("the result is larger than {HOLD_ALL} bytes, the limit with wait_end_of_query");
            return Err(Exception::new(code::TOO_MANY_ROWS_OR_BYTES, "TOO_MANY_ROWS_OR_BYTES", message));
        }
        Ok(self.begin())
    }

    /// Ends the answer.
    pub(crate) fn finish(mut self, result: Result<(), Exception>) {
        // A send that fails means that nobody listens any more: nothing is left to do then.
        let _ = match result {
            Ok(()) => self.end(),
            Err(exception) if self.begun => self.break_off(&exception),
            Err(exception) => self.send(Part::Begin(Err(exception))),
        };
    }

    fn begin(&mut self) -> Result<(), Gone> {
        self.begun = true;
        let format = std::mem::take(&mut self.format);
        self.send(Part::Begin(Ok((format, self.stats))))?;
        let held = std::mem::take(&mut self.held);
        self.compress_and_send(&held)
    }

    fn end(&mut self) -> Result<(), Gone> {
        if !self.begun {
            self.begin()?;
        }
        if let Some(encoder) = self.encoder.take() {
            let last = encoder.finish().map_err(|_| Gone)?;
            self.send_bytes(last)?;
        }
        self.send(Part::End)
    }

    fn break_off(&mut self, exception: &Exception) -> Result<(), Gone> {
        let (tag, message) = (&self.tag, format!("{exception}\n"));
        let text = format!("\r\n__exception__\r\n{tag}\r\n{message}{} {tag}\r\n__exception__\r\n", message.len());
        self.compress_and_send(text.as_bytes())?;
        match self.encoder.take().map(Encoder::finish) {
            Some(Ok(last)) => self.send_bytes(last),
            _ => Ok(()),
        }
    }

    fn compress_and_send(&mut self, block: &[u8]) -> Result<(), Gone> {
        if self.encoder.is_none() {
            self.encoder = Some(Encoder::new(self.coding).map_err(|_| Gone)?);
        }
        let Some(encoder) = &mut self.encoder else { return Err(Gone) };
        // A compressor writing to memory fails only when memory is gone; the body then breaks off.
        let ready = encoder.push(block).map_err(|_| Gone)?;
        self.send_bytes(ready)
    }

    fn send_bytes(&mut self, bytes: Vec<u8>) -> Result<(), Gone> {
        if bytes.is_empty() { Ok(()) } else { self.send(Part::Data(bytes.into())) }
    }

    fn send(&self, part: Part) -> Result<(), Gone> {
        let send = async { tokio::time::timeout(STALL, self.parts.send(part)).await };
        match self.runtime.block_on(send) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}
