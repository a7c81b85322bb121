//! The engine library behind a safe interface. This is the only file with `unsafe` in it.
//!
//! The library's model, from its C header:
//!
//! - `chdb_connect(argc, argv)` starts the engine on the first call and gives a *connection*; later calls with the same
//!   `--path` share the engine. Closing the last connection shuts the engine down; starting it again in the same process
//!   is not dependable, so the caller keeps one idle connection open until the end.
//! - A connection runs one statement at a time and may be used from any thread, one thread at a time: [`Connection`] is
//!   `Send`, not `Sync`, and every call takes `&mut self`. Several connections run in parallel.
//! - Three ways to run a statement: *query* gives the whole result ([`Connection::query`]), *stream* gives a `SELECT`'s
//!   result block by block ([`Connection::stream`]), *insert* takes rows in chunks ([`Connection::insert`]; the only way
//!   for binary formats, a statement with inline binary data is cut at its first NUL byte).
//! - Every result and stream handle is destroyed exactly once, errors included; an unfinished stream is cancelled by it.
//! - Parameters are `{name:Type}` place holders; values are text in TSV escaping, as on ClickHouse's HTTP interface.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use crate::exception::Exception;

/// `chdb_result *`, opaque.
type ResultHandle = *mut c_void;
/// `chdb_connection`, opaque.
type ConnectionHandle = *mut c_void;
/// `chdb_insert_stream`, opaque.
type InsertHandle = *mut c_void;

type Statement = unsafe extern "C" fn(
    ConnectionHandle,
    *const c_char,
    usize,
    *const c_char,
    usize,
    *const *const c_char,
    *const usize,
    *const *const c_char,
    *const usize,
    usize,
) -> *mut c_void;

/// `chdb_query_analysis_v1`: four 32-bit numbers.
#[repr(C)]
#[derive(Default)]
struct RawAnalysis {
    struct_size: u32,
    statement_count: u32,
    flags: u32,
    query_class: u32,
}

const RAW_ANALYSIS_SIZE: u32 = 16;
const _: () = assert!(size_of::<RawAnalysis>() == 16);

/// The functions of the library, resolved once.
struct Functions {
    connect: unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut ConnectionHandle,
    close: unsafe extern "C" fn(*mut ConnectionHandle),
    query: Statement,
    stream_query: Statement,
    stream_fetch: unsafe extern "C" fn(ConnectionHandle, ResultHandle) -> ResultHandle,
    stream_cancel: unsafe extern "C" fn(ConnectionHandle, ResultHandle),
    insert: Statement,
    insert_append: unsafe extern "C" fn(InsertHandle, *const c_void, usize) -> c_int,
    insert_done: unsafe extern "C" fn(InsertHandle) -> ResultHandle,
    insert_error: unsafe extern "C" fn(InsertHandle) -> *const c_char,
    insert_destroy: unsafe extern "C" fn(InsertHandle),
    classify: unsafe extern "C" fn(ConnectionHandle, *const c_char, usize, *const c_char, usize, *mut RawAnalysis) -> c_int,
    result_buffer: unsafe extern "C" fn(ResultHandle) -> *mut c_char,
    result_length: unsafe extern "C" fn(ResultHandle) -> usize,
    result_error: unsafe extern "C" fn(ResultHandle) -> *const c_char,
    result_rows: unsafe extern "C" fn(ResultHandle) -> u64,
    result_bytes: unsafe extern "C" fn(ResultHandle) -> u64,
    rows_read: unsafe extern "C" fn(ResultHandle) -> u64,
    bytes_read: unsafe extern "C" fn(ResultHandle) -> u64,
    rows_written: unsafe extern "C" fn(ResultHandle) -> u64,
    bytes_written: unsafe extern "C" fn(ResultHandle) -> u64,
    destroy: unsafe extern "C" fn(ResultHandle),
}

/// The opened library. Never unloaded: the engine's threads run its code until the process ends.
pub(crate) struct Library {
    functions: Functions,
    version: String,
}

/// Why the library could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The file is missing, not a library, for another platform, or without a function this program needs.
    #[error("cannot open the engine library")]
    Load(#[from] libloading::Error),
}

impl Library {
    /// Opens the library and switches its signal handlers off, which must happen before the first connection.
    ///
    /// # Errors
    /// The file cannot be loaded, or lacks a function (then it is an older version of the library).
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>, OpenError> {
        // SAFETY: loading runs the library's initialisers. The file is the engine library, checked against its pinned
        // checksum when it was fetched, or named by the operator. It is leaked, so no symbol outlives it.
        let library: &'static libloading::Library = Box::leak(Box::new(unsafe { libloading::Library::new(path)? }));
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: the type of the field this is assigned to repeats the declaration in the library's header.
                *unsafe { library.get(concat!($name, "\0").as_bytes())? }
            };
        }
        let functions = Functions {
            connect: symbol!("chdb_connect"),
            close: symbol!("chdb_close_conn"),
            query: symbol!("chdb_query_with_params_n"),
            stream_query: symbol!("chdb_stream_query_with_params_n"),
            stream_fetch: symbol!("chdb_stream_fetch_result"),
            stream_cancel: symbol!("chdb_stream_cancel_query"),
            insert: symbol!("chdb_stream_insert_with_params_n"),
            insert_append: symbol!("chdb_stream_append"),
            insert_done: symbol!("chdb_stream_done"),
            insert_error: symbol!("chdb_stream_insert_error"),
            insert_destroy: symbol!("chdb_destroy_insert_stream"),
            classify: symbol!("chdb_classify_query_n"),
            result_buffer: symbol!("chdb_result_buffer"),
            result_length: symbol!("chdb_result_length"),
            result_error: symbol!("chdb_result_error"),
            result_rows: symbol!("chdb_result_rows_read"),
            result_bytes: symbol!("chdb_result_bytes_read"),
            rows_read: symbol!("chdb_result_storage_rows_read"),
            bytes_read: symbol!("chdb_result_storage_bytes_read"),
            rows_written: symbol!("chdb_result_rows_written"),
            bytes_written: symbol!("chdb_result_bytes_written"),
            destroy: symbol!("chdb_destroy_query_result"),
        };
        let signal_handlers: unsafe extern "C" fn(c_int) = symbol!("chdb_set_signal_handlers_enabled");
        let version: unsafe extern "C" fn() -> *const c_char = symbol!("chdb_version");
        // SAFETY: no connection exists yet, as the header demands; the version is a static text.
        let version = unsafe {
            signal_handlers(0);
            text(version()).unwrap_or_default()
        };
        Ok(Arc::new(Self { functions, version }))
    }

    /// The version the library reports, for example `26.7.3`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Opens a connection; the first one starts the engine. `arguments` are `--name=value` texts; those that name a
    /// query setting hold for this connection, the others for the engine.
    ///
    /// # Errors
    /// The library gives no reason (it logs one to stderr): data path not writable or used by another process, wrong
    /// argument, damaged data.
    pub(crate) fn connect(self: &Arc<Self>, arguments: &[String]) -> Result<Connection, Exception> {
        let arguments: Vec<CString> = std::iter::once("clickhouse")
            .chain(arguments.iter().map(String::as_str))
            .map(|argument| CString::new(argument).map_err(|_| Exception::engine("an argument contains a NUL byte")))
            .collect::<Result<_, _>>()?;
        let mut pointers: Vec<*mut c_char> = arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
        let count = c_int::try_from(pointers.len()).map_err(|_| Exception::engine("too many arguments"))?;
        // SAFETY: `pointers` holds as many NUL-terminated texts as said, alive during the call; they are not written to.
        let connection = unsafe { (self.functions.connect)(count, pointers.as_mut_ptr()) };
        // SAFETY: a connection that is not null points to a live handle until it is closed.
        if connection.is_null() || unsafe { (*connection).is_null() } {
            return Err(Exception::engine("the engine did not start; its reason is on stderr"));
        }
        Ok(Connection { library: Arc::clone(self), connection })
    }
}

/// One connection to the engine. Runs one statement at a time; closed when dropped.
pub(crate) struct Connection {
    library: Arc<Library>,
    connection: *mut ConnectionHandle,
}

// SAFETY: the library locks its connection and binds no state to the opening thread; the header only forbids use from
// two threads at once, which `&mut self` rules out (the type is not `Sync`).
unsafe impl Send for Connection {}

/// What a statement does, as the engine's own parser sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// `SELECT`, `SHOW`, `DESCRIBE`, `EXPLAIN`, `EXISTS`: leaves no trace.
    ReadOnly,
    /// Changes data or schema.
    Mutating,
    /// Changes the session or the server: `USE`, `SET`, `SYSTEM`, `KILL` …
    Control,
    /// Not parsed, or not classified by this version.
    Unknown,
}

/// The answer of [`Connection::classify`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Analysis {
    /// How many statements the text holds; 0 when it did not parse.
    pub statements: u32,
    /// The strongest class among them.
    pub class: Class,
}

/// What a statement cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stats {
    /// Rows of the result.
    pub result_rows: u64,
    /// Bytes of the result in the engine's own columnar form.
    pub result_bytes: u64,
    /// Rows read from storage.
    pub read_rows: u64,
    /// Bytes read from storage.
    pub read_bytes: u64,
    /// Rows written, those of materialized views included.
    pub written_rows: u64,
    /// Bytes written, likewise.
    pub written_bytes: u64,
}

impl Stats {
    /// Adds the counts of the next block.
    pub(crate) fn add(&mut self, other: Self) {
        self.result_rows += other.result_rows;
        self.result_bytes += other.result_bytes;
        self.read_rows += other.read_rows;
        self.read_bytes += other.read_bytes;
        self.written_rows += other.written_rows;
        self.written_bytes += other.written_bytes;
    }
}

/// Names and values of bound parameters.
pub(crate) type Parameters = [(String, String)];

impl Connection {
    /// Runs a statement and gives its whole result.
    ///
    /// # Errors
    /// The engine's exception; the connection stays usable.
    pub(crate) fn query(&mut self, sql: &str, format: &str, parameters: &Parameters) -> Result<Output<'_>, Exception> {
        let handle = self.start(self.functions().query, sql, format, parameters);
        self.output(handle)
    }

    /// Starts a `SELECT` whose result is fetched block by block.
    ///
    /// # Errors
    /// The engine's exception, also for any other statement than `SELECT`.
    pub(crate) fn stream(&mut self, sql: &str, format: &str, parameters: &Parameters) -> Result<Rows<'_>, Exception> {
        let handle = self.start(self.functions().stream_query, sql, format, parameters);
        // The check destroys the handle on error; on success the handle lives on in `Rows`.
        std::mem::forget(self.output(handle)?);
        Ok(Rows { connection: self, handle, finished: false })
    }

    /// Starts an `INSERT` whose rows follow in chunks. `sql` has neither `FORMAT` nor data; `format` names the format of
    /// the chunks.
    ///
    /// # Errors
    /// The engine's exception: unknown table, wrong columns.
    pub(crate) fn insert(&mut self, sql: &str, format: &str, parameters: &Parameters) -> Result<Insert<'_>, Exception> {
        let handle = self.start(self.functions().insert, sql, format, parameters);
        let insert = Insert { connection: self, handle };
        match insert.error() {
            Some(message) => Err(Exception::parse(message)),
            None => Ok(insert),
        }
    }

    /// Asks the engine's parser what `sql` would do, without running it.
    pub(crate) fn classify(&mut self, sql: &str) -> Analysis {
        let mut raw = RawAnalysis { struct_size: RAW_ANALYSIS_SIZE, ..RawAnalysis::default() };
        // SAFETY: `sql` is alive with the given length; the report has the size it states; no target database is given.
        let state = unsafe { (self.functions().classify)(self.handle(), sql.as_ptr().cast(), sql.len(), ptr::null(), 0, &raw mut raw) };
        let class = match (state, raw.query_class) {
            (0, 0) => Class::ReadOnly,
            (0, 1 | 2) => Class::Mutating,
            (0, 3) => Class::Control,
            _ => Class::Unknown,
        };
        Analysis { statements: raw.statement_count, class }
    }

    fn functions(&self) -> &Functions {
        &self.library.functions
    }

    fn handle(&self) -> ConnectionHandle {
        // SAFETY: checked when opened; valid until `drop` closes it.
        unsafe { *self.connection }
    }

    fn start(&mut self, call: Statement, sql: &str, format: &str, parameters: &Parameters) -> *mut c_void {
        let names: Vec<*const c_char> = parameters.iter().map(|(name, _)| name.as_ptr().cast()).collect();
        let name_lengths: Vec<usize> = parameters.iter().map(|(name, _)| name.len()).collect();
        let values: Vec<*const c_char> = parameters.iter().map(|(_, value)| value.as_ptr().cast()).collect();
        let value_lengths: Vec<usize> = parameters.iter().map(|(_, value)| value.len()).collect();
        // SAFETY: all texts and arrays live through the call, with the lengths given beside them; the library copies
        // what it keeps. The connection is ours alone (`&mut self`).
        unsafe {
            call(
                self.handle(),
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                names.as_ptr(),
                name_lengths.as_ptr(),
                values.as_ptr(),
                value_lengths.as_ptr(),
                parameters.len(),
            )
        }
    }

    /// Takes ownership of a result handle.
    fn output(&self, handle: ResultHandle) -> Result<Output<'_>, Exception> {
        if handle.is_null() {
            return Err(Exception::engine("the engine gave no result"));
        }
        let output = Output { library: &self.library, handle, lifetime: PhantomData };
        // SAFETY: the handle is live; the message lives as long as it and is copied.
        match unsafe { text((self.functions().result_error)(handle)) } {
            Some(message) => Err(Exception::parse(message)),
            None => Ok(output),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: opened by `connect`, closed once; results and streams borrow the connection, so none is left.
        unsafe { (self.functions().close)(self.connection) }
    }
}

/// A result, or one block of it.
pub(crate) struct Output<'connection> {
    library: &'connection Library,
    handle: ResultHandle,
    lifetime: PhantomData<&'connection Connection>,
}

impl Output<'_> {
    /// The bytes in the output format.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the buffer belongs to the live handle, is never changed, and is as long as said (null when empty).
        unsafe {
            let length = (self.library.functions.result_length)(self.handle);
            let buffer = (self.library.functions.result_buffer)(self.handle);
            if length == 0 || buffer.is_null() { &[] } else { std::slice::from_raw_parts(buffer.cast(), length) }
        }
    }

    /// What it cost.
    pub(crate) fn stats(&self) -> Stats {
        let functions = &self.library.functions;
        // SAFETY: accessors of a live handle.
        unsafe {
            Stats {
                result_rows: (functions.result_rows)(self.handle),
                result_bytes: (functions.result_bytes)(self.handle),
                read_rows: (functions.rows_read)(self.handle),
                read_bytes: (functions.bytes_read)(self.handle),
                written_rows: (functions.rows_written)(self.handle),
                written_bytes: (functions.bytes_written)(self.handle),
            }
        }
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        // SAFETY: owned, destroyed once.
        unsafe { (self.library.functions.destroy)(self.handle) }
    }
}

/// A running `SELECT`. Dropped before its end, it is cancelled.
pub(crate) struct Rows<'connection> {
    connection: &'connection mut Connection,
    handle: ResultHandle,
    finished: bool,
}

impl Rows<'_> {
    /// The next block; `None` at the end.
    ///
    /// # Errors
    /// The engine's exception; the stream is over then.
    pub(crate) fn next(&mut self) -> Result<Option<Output<'_>>, Exception> {
        if self.finished {
            return Ok(None);
        }
        // SAFETY: both handles are live, and used by this thread only.
        let block = unsafe { (self.connection.functions().stream_fetch)(self.connection.handle(), self.handle) };
        match self.connection.output(block) {
            Ok(output) if output.bytes().is_empty() => {
                self.finished = true;
                Ok(None)
            }
            Ok(output) => Ok(Some(output)),
            Err(exception) => {
                self.finished = true;
                Err(exception)
            }
        }
    }
}

impl Drop for Rows<'_> {
    fn drop(&mut self) {
        // SAFETY: both handles are live; the stream handle is destroyed once.
        unsafe {
            if !self.finished {
                (self.connection.functions().stream_cancel)(self.connection.handle(), self.handle);
            }
            (self.connection.functions().destroy)(self.handle);
        }
    }
}

/// A running `INSERT`. Dropped before [`Insert::finish`], it is cancelled and its rows are not stored, but for blocks
/// that were already full (about a million rows).
#[must_use = "an insert that is not finished stores nothing"]
pub(crate) struct Insert<'connection> {
    connection: &'connection mut Connection,
    handle: InsertHandle,
}

impl Insert<'_> {
    /// Hands over bytes; waits while the engine is behind. `false`: the insert has failed, [`Insert::finish`] says why.
    pub(crate) fn append(&mut self, chunk: &[u8]) -> bool {
        // SAFETY: the handle is live; the library copies the chunk.
        unsafe { (self.connection.functions().insert_append)(self.handle, chunk.as_ptr().cast(), chunk.len()) == 0 }
    }

    /// Says that all rows are there and waits until they are stored.
    ///
    /// # Errors
    /// The engine's exception: rows that cannot be parsed, memory limit, disk full …
    pub(crate) fn finish(self) -> Result<Stats, Exception> {
        // SAFETY: the handle is live; `drop` destroys it afterwards, as the header demands.
        let result = unsafe { (self.connection.functions().insert_done)(self.handle) };
        self.connection.output(result).map(|output| output.stats())
    }

    fn error(&self) -> Option<String> {
        // SAFETY: the handle is live; the message is copied.
        unsafe { text((self.connection.functions().insert_error)(self.handle)) }
    }
}

impl Drop for Insert<'_> {
    fn drop(&mut self) {
        // SAFETY: destroyed once; cancels the stream when it is not finished.
        unsafe { (self.connection.functions().insert_destroy)(self.handle) }
    }
}

/// Ends the process at once, without running the library's exit handlers: they fault when a connection is still open.
pub(crate) fn exit_without_cleanup(code: i32) -> ! {
    // SAFETY: has no precondition.
    unsafe { libc::_exit(code) }
}

/// Copies a C text; `None` for a null pointer.
///
/// # Safety
/// `pointer` is null or a NUL-terminated text.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}
