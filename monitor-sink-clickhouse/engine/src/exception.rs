//! Errors as ClickHouse reports them: `Code: 60. DB::Exception: … (UNKNOWN_TABLE)`, and the HTTP status of each code.

use hyper::StatusCode;

/// Codes this program itself answers with; the numbers are ClickHouse's.
pub(crate) mod code {
    /// A parameter of the request makes no sense.
    pub(crate) const BAD_ARGUMENTS: u32 = 36;
    /// The feature is not there.
    pub(crate) const NOT_IMPLEMENTED: u32 = 48;
    /// Text that is not a statement, or more than one.
    pub(crate) const SYNTAX_ERROR: u32 = 62;
    /// Compressed data that cannot be decompressed.
    pub(crate) const CANNOT_DECOMPRESS: u32 = 271;
    /// A body over its limit.
    pub(crate) const LIMIT_EXCEEDED: u32 = 290;
    /// The body broke off, or came too slowly.
    pub(crate) const CANNOT_READ_ALL_DATA: u32 = 33;
    /// A changing statement by GET or with `readonly`.
    pub(crate) const READONLY: u32 = 164;
    /// No free connection to the engine in time.
    pub(crate) const TOO_MANY_SIMULTANEOUS_QUERIES: u32 = 202;
    /// The query text is over its limit.
    pub(crate) const QUERY_IS_TOO_LARGE: u32 = 229;
    /// The result is over its limit.
    pub(crate) const TOO_MANY_ROWS_OR_BYTES: u32 = 396;
    /// Wrong user or password.
    pub(crate) const AUTHENTICATION_FAILED: u32 = 516;
    /// Anything without a code.
    pub(crate) const UNKNOWN_EXCEPTION: u32 = 1002;
}

/// An error with ClickHouse's code and text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Exception {
    /// ClickHouse's error code.
    pub code: u32,
    /// The whole text, `Code: N. DB::Exception: …`.
    pub text: String,
}

impl Exception {
    /// An error of this program, in ClickHouse's form. `name` is the code's name, as ClickHouse puts it at the end.
    pub(crate) fn new(code: u32, name: &str, message: impl std::fmt::Display) -> Self {
        Self { code, text: format!("Code: {code}. DB::Exception: {message}. ({name})") }
    }

    /// An error of the library that came without a code.
    pub(crate) fn engine(message: impl std::fmt::Display) -> Self {
        Self::new(code::UNKNOWN_EXCEPTION, "UNKNOWN_EXCEPTION", message)
    }

    /// A bad request parameter.
    pub(crate) fn bad_argument(message: impl std::fmt::Display) -> Self {
        Self::new(code::BAD_ARGUMENTS, "BAD_ARGUMENTS", message)
    }

    /// Something this program does not offer.
    pub(crate) fn not_implemented(message: impl std::fmt::Display) -> Self {
        Self::new(code::NOT_IMPLEMENTED, "NOT_IMPLEMENTED", message)
    }

    /// Reads the library's message; one without a code gets the code for unknown exceptions.
    pub(crate) fn parse(message: String) -> Self {
        let found = message.find("Code: ").and_then(|at| {
            let text = message.get(at..)?;
            let digits: String = text.get(6..)?.chars().take_while(char::is_ascii_digit).collect();
            Some((digits.parse().ok()?, text.trim_end().to_owned()))
        });
        match found {
            Some((code, text)) => Self { code, text },
            None => Self::engine(message.trim_end()),
        }
    }

    /// The HTTP status a ClickHouse server answers this code with. Two differ: 202 ("too many queries") is a 503 here,
    /// so that clients come again, and 33 a 400, because only a broken body leads to it before a result.
    pub(crate) fn status(&self) -> StatusCode {
        match self.code {
            194 => StatusCode::UNAUTHORIZED,
            192 | 193 | 497 | 512 | code::AUTHENTICATION_FAILED => StatusCode::FORBIDDEN,
            46 | 47 | 50 | 56 | 60 | 63 | 73 | 78 | 81 | 115 | 336 => StatusCode::NOT_FOUND,
            6 | 15 | 25 | 26 | 27 | 33 | 36 | 38 | 41 | 42 | 43 | 44 | 53 | 62 | 72 | 117 | 271 | 376 | 427 | 441 | 456 | 457 => {
                StatusCode::BAD_REQUEST
            }
            code::LIMIT_EXCEEDED | code::QUERY_IS_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
            159 => StatusCode::REQUEST_TIMEOUT,
            code::NOT_IMPLEMENTED => StatusCode::NOT_IMPLEMENTED,
            209 | 439 | code::TOO_MANY_SIMULTANEOUS_QUERIES => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, code: u32, status: u16) {
        let exception = Exception::parse(message.to_owned());
        assert_eq!((exception.code, exception.status().as_u16()), (code, status), "{message}");
    }

    #[test]
    fn the_code_of_a_message_decides_the_status() {
        check("Code: 60. DB::Exception: Unknown table t. (UNKNOWN_TABLE)", 60, 404);
        check("Code: 62. DB::Exception: Syntax error. (SYNTAX_ERROR)", 62, 400);
        check("Error: Code: 241. DB::Exception: Memory limit exceeded", 241, 500);
        check("no code at all", 1002, 500);
        check("Code: x", 1002, 500);
    }
}
