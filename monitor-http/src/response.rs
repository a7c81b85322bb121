//! The body of every answer.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::live::Stream;

/// The body of an answer of [`HttpService`](crate::HttpService): known from the start, or a live stream.
pub struct Body(Content);

enum Content {
    /// Empty once it was given out.
    Full(Bytes),
    Live(Box<Stream>),
}

impl Body {
    pub(crate) fn empty() -> Body {
        Body(Content::Full(Bytes::new()))
    }

    pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
        Body(Content::Full(bytes.into()))
    }

    pub(crate) fn live(stream: Stream) -> Body {
        Body(Content::Live(Box::new(stream)))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Content::Full(bytes) => f.debug_tuple("Body").field(&bytes.len()).finish(),
            Content::Live(_) => f.write_str("Body(live)"),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.get_mut().0 {
            Content::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Live(stream) => stream.poll_text(context).map(|text| text.map(|text| Ok(Frame::data(text)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Content::Full(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Live(_) => SizeHint::default(),
        }
    }
}
