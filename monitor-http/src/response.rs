//! The body of every answer.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use http_body::{Frame, SizeHint};

use crate::live::Text;

/// The body of an answer of [`HttpService`](crate::HttpService): known from the start, or a stream.
///
/// Only an export can fail on the way: the server then cuts the connection, and the client does not take a part for the whole.
pub struct Body(Content);

enum Content {
    /// Empty once it was given out.
    Full(Bytes),
    Live(Box<Text>),
    Stream(BoxStream<'static, Result<Bytes, Broken>>),
}

/// The answer cannot be given to its end.
#[derive(Debug)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer ended early")
    }
}

impl Error for Broken {}

impl Body {
    pub(crate) fn empty() -> Body {
        Body(Content::Full(Bytes::new()))
    }

    pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
        Body(Content::Full(bytes.into()))
    }

    pub(crate) fn live(stream: Text) -> Body {
        Body(Content::Live(Box::new(stream)))
    }

    pub(crate) fn stream(stream: BoxStream<'static, Result<Bytes, Broken>>) -> Body {
        Body(Content::Stream(stream))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Content::Full(bytes) => f.debug_tuple("Body").field(&bytes.len()).finish(),
            Content::Live(_) => f.write_str("Body(live)"),
            Content::Stream(_) => f.write_str("Body(stream)"),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut self.get_mut().0 {
            Content::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Live(stream) => stream.poll_text(context).map(|text| text.map(|text| Ok(Frame::data(text)))),
            Content::Stream(stream) => stream.as_mut().poll_next(context).map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Content::Full(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Live(_) | Content::Stream(_) => SizeHint::default(),
        }
    }
}
