//! Runs one request on an engine connection: decides between the library's three calls.
//!
//! | Statement | Call |
//! |---|---|
//! | `INSERT` with rows | insert: the rows go over in chunks, in any format |
//! | `SELECT` in a format whose blocks can be joined | stream: the result comes block by block |
//! | anything else | query: the result comes at once, up to a limit |
//!
//! The engine's parser is asked before: several statements in one text are refused, and so is what changes something
//! when the request is read-only.

use std::io::{self, Read};

use crate::answer::{Gone, Sink};
use crate::body::Body;
use crate::compress;
use crate::exception::{Exception, code};
use crate::library::{Class, Connection};
use crate::pool::Session;
use crate::request::Request;
use crate::statement::{self, Kind};

/// The longest text of a statement, in bytes.
pub(crate) const MAX_STATEMENT: usize = 16 << 20;
/// How much of a body is looked at to find out whether it begins with an `INSERT`.
const HEAD: usize = 64 << 10;
/// Bytes handed to the engine at a time.
const CHUNK: usize = 1 << 20;
/// The largest result that is made at once, in bytes of the engine's own form.
const MAX_RESULT: u64 = 128 << 20;
/// What the library answers when it is asked to stream something else than a `SELECT`.
const NOT_STREAMABLE: &str = "Streaming query is not supported";

/// Runs the request and answers through `sink`.
pub(crate) fn run(session: &mut Session, request: &Request, body: Body, max_body: u64, mut sink: Sink) {
    let result = execute(session, request, body, max_body, &mut sink);
    sink.finish(result);
}

fn execute(session: &mut Session, request: &Request, body: Body, max_body: u64, sink: &mut Sink) -> Result<(), Exception> {
    if sink.is_gone() {
        return Ok(());
    }
    let mut reader = decoded(request, body, max_body)?;
    let mut text = request.query.clone();
    let in_url = text.len();
    // An INSERT that is complete in the URL has only rows in its body, whatever they look like.
    let complete = matches!(statement::read(&text), Kind::Insert { format: Some(_), data, .. } if data == in_url);
    let mut head = Vec::new();
    let mut text_of_head = 0;
    if !complete {
        if in_url > 0 {
            text.push('\n');
        }
        read_up_to(&mut reader, &mut head, HEAD)?;
        let valid = valid_text(&head);
        text_of_head = valid.len();
        text.push_str(valid);
    }
    let head_start = text.len() - text_of_head;
    if let Kind::Insert { head: insert, format, data } = statement::read(&text) {
        let (insert, format, data) = match format {
            Some(format) => (insert, format, data),
            // No format in sight: all that follows the URL's text is rows.
            None => (insert, request.default_format.as_deref().unwrap_or("Values"), head_start.max(data.min(text.len()))),
        };
        let in_text = text.get(data..head_start).unwrap_or_default().trim_end();
        let in_head = head.get(data.saturating_sub(head_start)..).unwrap_or_default();
        let mut rows = io::Cursor::new(in_text).chain(io::Cursor::new(in_head)).chain(reader);
        return insert_rows(session, request, insert, format, &mut rows, sink);
    }
    read_up_to(&mut reader, &mut head, MAX_STATEMENT + 1)?;
    if head.len() > MAX_STATEMENT {
        let message = format_args!("the statement is longer than {MAX_STATEMENT} bytes");
        return Err(Exception::new(code::QUERY_IS_TOO_LARGE, "QUERY_IS_TOO_LARGE", message));
    }
    text.truncate(head_start);
    text.push_str(std::str::from_utf8(&head).map_err(|_| syntax_error("the statement is not UTF-8"))?);
    statement(session, request, &text, sink)
}

fn decoded(request: &Request, body: Body, max_body: u64) -> Result<Box<dyn Read + Send>, Exception> {
    let mut reader: Box<dyn Read + Send> = Box::new(body.reader().map_err(unreadable)?);
    for coding in &request.body_codings {
        reader = compress::decoder(*coding, reader).map_err(unreadable)?;
    }
    Ok(Box::new(Limited { reader, left: max_body }))
}

/// Fails after `left` bytes: decompressed data has the same limit as what was sent.
struct Limited {
    reader: Box<dyn Read + Send>,
    left: u64,
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, "the decompressed body is too large"))?;
        Ok(count)
    }
}

fn unreadable(error: io::Error) -> Exception {
    match error.kind() {
        io::ErrorKind::FileTooLarge => Exception::new(code::LIMIT_EXCEEDED, "LIMIT_EXCEEDED", error),
        _ => Exception::new(code::CANNOT_DECOMPRESS, "CANNOT_DECOMPRESS", format_args!("cannot read the request body: {error}")),
    }
}

fn read_up_to(reader: &mut impl Read, bytes: &mut Vec<u8>, length: usize) -> Result<(), Exception> {
    let missing = length.saturating_sub(bytes.len()) as u64;
    reader.by_ref().take(missing).read_to_end(bytes).map_err(unreadable)?;
    Ok(())
}

/// The beginning of `bytes` that is text.
fn valid_text(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => bytes.get(..error.valid_up_to()).and_then(|valid| std::str::from_utf8(valid).ok()).unwrap_or_default(),
    }
}

fn insert_rows(
    session: &mut Session,
    request: &Request,
    insert: &str,
    format: &str,
    rows: &mut impl Read,
    sink: &mut Sink,
) -> Result<(), Exception> {
    if request.readonly {
        return Err(readonly());
    }
    sink.set_format(format);
    let connection = session.prepare(request.database.as_deref(), &request.settings)?;
    let mut stream = connection.insert(insert, format, &request.parameters)?;
    let mut chunk = vec![0; CHUNK];
    loop {
        // Left early, `stream` is dropped unfinished, which cancels the insert.
        let count = rows.read(&mut chunk).map_err(unreadable)?;
        if count == 0 || !stream.append(chunk.get(..count).unwrap_or_default()) {
            break;
        }
    }
    sink.count(stream.finish()?);
    Ok(())
}

fn statement(session: &mut Session, request: &Request, sql: &str, sink: &mut Sink) -> Result<(), Exception> {
    if sql.trim().is_empty() {
        return Err(syntax_error("Empty query"));
    }
    if statement::begins_with(sql, &["SET"]) || statement::begins_with(sql, &["USE"]) {
        let message = "SET and USE have no effect without a session: send settings and `database` as parameters of each request";
        return Err(Exception::not_implemented(message));
    }
    // The engine would signal its whole process group, which may be the host's.
    if statement::begins_with(sql, &["SYSTEM", "SHUTDOWN"]) || statement::begins_with(sql, &["SYSTEM", "KILL"]) {
        return Err(Exception::not_implemented("the engine ends with the process that started it"));
    }
    let connection = session.prepare(request.database.as_deref(), &request.settings)?;
    let analysis = connection.classify(sql);
    if analysis.statements > 1 {
        return Err(syntax_error("Multi-statements are not allowed"));
    }
    let parsed = analysis.statements == 1;
    if request.readonly && parsed && analysis.class != Class::ReadOnly {
        return Err(readonly());
    }
    let format = request.default_format.as_deref().unwrap_or("TabSeparated");
    sink.set_format(statement::output_format(sql).unwrap_or(format));
    // What did not parse must fail. It is given to the streaming call, which runs nothing but a SELECT: in
    // "DROP TABLE t; rubbish" the query call would run the part before the rubbish.
    let joint = Joint::of(sink.format(), request, sql);
    if !parsed || (analysis.class == Class::ReadOnly && joint.is_some()) {
        match select(connection, sql, format, request, joint.unwrap_or(Joint::Plain), sink) {
            Err(exception) if exception.text.contains(NOT_STREAMABLE) && parsed => {}
            Err(exception) if exception.text.contains(NOT_STREAMABLE) => return Err(syntax_error("this is not one complete statement")),
            result => return result,
        }
    }
    if !request.settings.iter().any(|(name, _)| name == "max_result_bytes") {
        session.set("max_result_bytes", &MAX_RESULT.to_string())?;
    }
    let connection = session.connection()?;
    let output = connection.query(sql, format, &request.parameters)?;
    sink.count(output.stats());
    // Whether the client is still there does not change that the statement has run.
    let _ = sink.write(output.bytes())?;
    Ok(())
}

/// How the blocks of a streamed result become one document. The library writes each block as a document of its own, so
/// this works for a few formats only; a result in another format (`JSON`, `Parquet`, `CSVWithNames` …) is made at once,
/// with a limit on its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joint {
    /// Rows after rows: the blocks follow each other.
    Plain,
    /// Column names, then rows: the beginning of all but the first block is left out.
    Names,
    /// Column names, column types, then rows: likewise.
    NamesAndTypes,
}

impl Joint {
    fn of(format: &str, request: &Request, sql: &str) -> Option<Self> {
        // Makes one array of all rows.
        let array = "output_format_json_array_of_rows";
        match format.to_ascii_lowercase().as_str() {
            "jsoneachrow" | "jsonlines" | "ndjson" | "jsonl"
                if sql.contains(array) || request.settings.iter().any(|(name, _)| name == array) =>
            {
                None
            }
            "tabseparated" | "tsv" | "tabseparatedraw" | "tsvraw" | "raw" | "csv" | "jsoneachrow" | "jsonlines" | "ndjson" | "jsonl"
            | "jsoncompacteachrow" | "rowbinary" | "native" => Some(Self::Plain),
            "rowbinarywithnames" => Some(Self::Names),
            "rowbinarywithnamesandtypes" => Some(Self::NamesAndTypes),
            _ => None,
        }
    }

    /// Length of what is left out of a block.
    fn header(self, block: &[u8]) -> Option<usize> {
        let texts_per_column = match self {
            Self::Plain => return Some(0),
            Self::Names => 1,
            Self::NamesAndTypes => 2,
        };
        let mut rest = block;
        let columns = read_length(&mut rest)?;
        for _ in 0..columns.checked_mul(texts_per_column)? {
            let length = read_length(&mut rest)?;
            rest = rest.get(length..)?;
        }
        Some(block.len() - rest.len())
    }
}

/// Reads a number of RowBinary's variable length: seven bits a byte, the lowest first.
fn read_length(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    for shift in (0..63).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn select(connection: &mut Connection, sql: &str, format: &str, request: &Request, joint: Joint, sink: &mut Sink) -> Result<(), Exception> {
    let mut rows = connection.stream(sql, format, &request.parameters)?;
    let mut first = true;
    while let Some(block) = rows.next()? {
        sink.count(block.stats());
        let header = if first { Some(0) } else { joint.header(block.bytes()) };
        let body = header.and_then(|length| block.bytes().get(length..));
        first = false;
        let Some(body) = body else { return Err(Exception::engine("a block of the result has no header")) };
        if let Err(Gone) = sink.write(body)? {
            // Dropping `rows` cancels the query.
            return Ok(());
        }
    }
    Ok(())
}

fn readonly() -> Exception {
    Exception::new(code::READONLY, "READONLY", "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly")
}

fn syntax_error(message: &str) -> Exception {
    Exception::new(code::SYNTAX_ERROR, "SYNTAX_ERROR", message)
}
