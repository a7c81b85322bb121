//! Takes a request's body in before the engine sees it.
//!
//! The whole body is received first, in memory while the shared budget lasts, then in an unnamed temporary file. So
//! an engine connection is never held by a slow client, and a body that breaks off has touched nothing: a half-sent
//! `INSERT` stores no row, however long it was. Memory is bounded by the budget, disk by the limit per body.

use std::collections::VecDeque;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::Body as HttpBody;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::exception::{Exception, code};

/// The budget counts in KiB, so that its permits fit a `u32`.
const UNIT: usize = 1024;
/// Bytes gathered before they are written to the file.
const WRITE: usize = 1 << 20;

/// Where bodies wait, shared by all requests.
pub(crate) struct Intake {
    budget: Arc<Semaphore>,
    directory: PathBuf,
    max_body: u64,
    idle: Duration,
}

/// A complete body. Its memory and file are given back when it is dropped.
pub(crate) struct Body {
    chunks: VecDeque<Bytes>,
    file: Option<File>,
    _budget: Option<OwnedSemaphorePermit>,
}

impl Intake {
    /// `memory` bytes for all bodies together; `max_body` bytes for one; `idle` is the longest pause between two pieces.
    pub(crate) fn new(memory: usize, directory: PathBuf, max_body: u64, idle: Duration) -> Self {
        let permits = (memory / UNIT).min(Semaphore::MAX_PERMITS);
        Self { budget: Arc::new(Semaphore::new(permits)), directory, max_body, idle }
    }

    /// The largest body in bytes, before and after decompression.
    pub(crate) fn max_body(&self) -> u64 {
        self.max_body
    }

    /// Receives a body to its end.
    ///
    /// # Errors
    /// It broke off, paused too long, is too large, or the temporary file could not be written.
    pub(crate) async fn receive<B>(&self, mut incoming: B) -> Result<Body, Exception>
    where
        B: HttpBody<Data = Bytes, Error: Display> + Unpin,
    {
        let mut body = Body::empty();
        let mut pending: Vec<Bytes> = Vec::new();
        let mut pending_bytes = 0;
        let mut total = 0;
        loop {
            let frame = match tokio::time::timeout(self.idle, incoming.frame()).await {
                Err(_) => return Err(broken("the request body paused too long")),
                Ok(None) => break,
                Ok(Some(Err(error))) => return Err(broken(format_args!("the request body broke off: {error}"))),
                Ok(Some(Ok(frame))) => frame,
            };
            // Trailers carry nothing we want.
            let Ok(chunk) = frame.into_data() else { continue };
            total += chunk.len() as u64;
            if total > self.max_body {
                let message = format_args!("the request body is larger than {} bytes", self.max_body);
                return Err(Exception::new(code::LIMIT_EXCEEDED, "LIMIT_EXCEEDED", message));
            }
            // Once a chunk had no room, all that follow it go to the file, even if there is room again: memory is read first.
            let all_in_memory = body.file.is_none() && pending.is_empty();
            if all_in_memory && self.keep_in_memory(&mut body, &chunk) {
                continue;
            }
            pending_bytes += chunk.len();
            pending.push(chunk);
            if pending_bytes >= WRITE {
                body.file = Some(self.write(body.file.take(), std::mem::take(&mut pending)).await?);
                pending_bytes = 0;
            }
        }
        if !pending.is_empty() {
            body.file = Some(self.write(body.file.take(), pending).await?);
        }
        Ok(body)
    }

    /// Books the chunk's bytes; `false` when the budget is used up.
    fn keep_in_memory(&self, body: &mut Body, chunk: &Bytes) -> bool {
        let units = u32::try_from(chunk.len().div_ceil(UNIT)).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.budget).try_acquire_many_owned(units) else { return false };
        match &mut body._budget {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        body.chunks.push_back(chunk.clone());
        true
    }

    /// Appends to the file, which is made when there is none, on a thread that may block.
    async fn write(&self, file: Option<File>, chunks: Vec<Bytes>) -> Result<File, Exception> {
        let directory = self.directory.clone();
        let written = tokio::task::spawn_blocking(move || -> io::Result<File> {
            let mut file = match file {
                Some(file) => file,
                None => tempfile::tempfile_in(directory)?,
            };
            for chunk in chunks {
                file.write_all(&chunk)?;
            }
            Ok(file)
        });
        match written.await {
            Ok(Ok(file)) => Ok(file),
            Ok(Err(error)) => Err(Exception::engine(format_args!("cannot write a temporary file: {error}"))),
            Err(error) => Err(Exception::engine(format_args!("cannot write a temporary file: {error}"))),
        }
    }
}

fn broken(message: impl Display) -> Exception {
    Exception::new(code::CANNOT_READ_ALL_DATA, "CANNOT_READ_ALL_DATA", message)
}

impl Body {
    /// No bytes at all.
    pub(crate) fn empty() -> Self {
        Self { chunks: VecDeque::new(), file: None, _budget: None }
    }

    /// The whole body, when it has at most `limit` bytes.
    ///
    /// # Errors
    /// It is larger, or the temporary file cannot be read.
    pub(crate) fn read_small(self, limit: usize) -> io::Result<Bytes> {
        let mut bytes = Vec::new();
        self.reader()?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the form is too large"));
        }
        Ok(bytes.into())
    }

    /// Reads it from the beginning.
    ///
    /// # Errors
    /// The temporary file cannot be rewound.
    pub(crate) fn reader(mut self) -> io::Result<Reader> {
        if let Some(file) = &mut self.file {
            file.rewind()?;
        }
        Ok(Reader { body: self })
    }
}

/// Reads a [`Body`]: first what is in memory, then the file.
pub(crate) struct Reader {
    body: Body,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(chunk) = self.body.chunks.front_mut() {
            if chunk.is_empty() {
                self.body.chunks.pop_front();
                continue;
            }
            let count = chunk.as_ref().read(buffer)?;
            chunk.advance(count);
            return Ok(count);
        }
        match &mut self.body.file {
            Some(file) => file.read(buffer),
            None => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream::{self, StreamExt};
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    /// Sends pieces of one unit, the first for 0, the second for 1 and so on, and calls `before` before each. Returns the body as it is read.
    async fn sent(intake: &Intake, pieces: u8, mut before: impl FnMut(u8) + Unpin) -> Vec<u8> {
        let frames = stream::iter(0..pieces).map(|piece| {
            before(piece);
            Ok::<_, Infallible>(Frame::data(Bytes::from(vec![piece; UNIT])))
        });
        let mut read = Vec::new();
        intake.receive(StreamBody::new(frames)).await.unwrap().reader().unwrap().read_to_end(&mut read).unwrap();
        read
    }

    #[tokio::test]
    async fn a_body_stays_in_order_when_memory_runs_out_and_comes_back() {
        let expected: Vec<u8> = (0..6).flat_map(|piece| vec![piece; UNIT]).collect();
        let intake = Intake::new(6 * UNIT, std::env::temp_dir(), 1 << 20, Duration::from_secs(5));
        let held = |units| Arc::clone(&intake.budget).try_acquire_many_owned(units).ok();
        for free in 0..=6 {
            for given_back_before in 0..6 {
                let mut others = held(6 - free);
                let read = sent(&intake, 6, |piece| {
                    if piece == given_back_before {
                        others = None;
                    }
                });
                assert_eq!(read.await, expected, "{free} free at first, all before piece {given_back_before}");
            }
        }
        assert_eq!(intake.budget.available_permits(), 6, "bodies give their memory back");
    }
}
