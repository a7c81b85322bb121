//! Reads as much of a statement as the HTTP interface must know: does it carry rows, and in which format?
//!
//! ```text
//! INSERT INTO t (a, b) SETTINGS x = 1 FORMAT JSONEachRow⏎{"a":1}     head | format | data
//! INSERT INTO t VALUES (1), (2)                                      head | Values | data
//! INSERT INTO t SELECT …                                             a statement like any other
//! ```
//!
//! A scanner of words, not a parser: it skips comments, quoted texts and brackets. What it does not understand is left to
//! the engine's parser.

/// What the beginning of a request's text turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind<'text> {
    /// An `INSERT` with rows: its text without `FORMAT`, the format if named, and where the data begins.
    Insert {
        /// `INSERT INTO t (a, b) SETTINGS …`
        head: &'text str,
        /// The input format; `None` when the statement names none.
        format: Option<&'text str>,
        /// Offset of the first byte of data.
        data: usize,
    },
    /// Any other statement.
    Other,
}

/// One word, sign or quoted name of the text, with its place.
struct Token<'text> {
    text: &'text str,
    start: usize,
    end: usize,
}

impl Token<'_> {
    fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }
}

/// Steps through the tokens outside of brackets.
struct Scanner<'text> {
    text: &'text str,
    at: usize,
}

impl<'text> Scanner<'text> {
    fn new(text: &'text str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'text str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_blanks_and_comments(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            let comment = if trimmed.starts_with("--") || trimmed.starts_with("#!") || trimmed.starts_with("# ") {
                trimmed.find('\n').map_or(trimmed.len(), |end| end + 1)
            } else if trimmed.starts_with("/*") {
                trimmed.find("*/").map_or(trimmed.len(), |end| end + 2)
            } else {
                return;
            };
            self.at += comment;
        }
    }

    /// Length of a quoted text or name at the beginning of `rest`, quotes included.
    fn quoted(rest: &str, quote: char) -> usize {
        let mut escaped = false;
        for (at, letter) in rest.char_indices().skip(1) {
            match letter {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if letter == quote => return at + 1,
                _ => {}
            }
        }
        rest.len()
    }

    /// The next token; a bracket is one token up to its end.
    fn next(&mut self) -> Option<Token<'text>> {
        self.skip_blanks_and_comments();
        let start = self.at;
        let rest = self.rest();
        let first = rest.chars().next()?;
        match first {
            '\'' | '"' | '`' => self.at += Self::quoted(rest, first),
            '(' => {
                self.at += 1;
                while let Some(token) = self.next() {
                    if token.text == ")" {
                        break;
                    }
                }
            }
            _ if first.is_alphanumeric() || first == '_' => {
                self.at += rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
            }
            _ => self.at += first.len_utf8(),
        }
        Some(Token { text: self.text.get(start..self.at)?, start, end: self.at })
    }
}

/// Reads the beginning of a request's text. `text` may end anywhere in the data.
pub(crate) fn read(text: &str) -> Kind<'_> {
    let mut scanner = Scanner::new(text);
    if !scanner.next().is_some_and(|token| token.is("INSERT")) {
        return Kind::Other;
    }
    // The table's name may itself be one of the words searched for below.
    let mut named = false;
    let mut after_dot = false;
    let mut end = scanner.at;
    while let Some(token) = scanner.next() {
        let head = |start: usize| text.get(..start).unwrap_or_default().trim_end();
        if !named || after_dot {
            let prefix = !named && ["INTO", "TABLE", "FUNCTION"].iter().any(|word| token.is(word));
            named |= !prefix;
            after_dot = false;
        } else if token.text == "." {
            after_dot = true;
        } else if ["SELECT", "WITH", "FROM", "WATCH"].iter().any(|word| token.is(word)) || is_select(token.text) {
            return Kind::Other;
        } else if token.is("VALUES") {
            return Kind::Insert { head: head(token.start), format: Some("Values"), data: token.end };
        } else if token.is("FORMAT")
            && let Some(format) = scanner.next()
        {
            return Kind::Insert { head: head(token.start), format: Some(format.text), data: data_start(text, format.end) };
        } else if token.text == ";" {
            return Kind::Insert { head: head(token.start), format: None, data: token.end };
        }
        end = token.end;
    }
    Kind::Insert { head: text.get(..end).unwrap_or_default(), format: None, data: text.len() }
}

/// `(SELECT …)`, as in `INSERT INTO t (SELECT 1)`.
fn is_select(token: &str) -> bool {
    let mut scanner = Scanner::new(token.strip_prefix('(').unwrap_or_default());
    scanner.next().is_some_and(|word| word.is("SELECT") || word.is("WITH") || is_select(word.text))
}

/// Data begins after the blanks behind the format's name and, when a line break follows, behind that.
fn data_start(text: &str, format_end: usize) -> usize {
    let rest = text.get(format_end..).unwrap_or_default();
    let blanks = rest.len() - rest.trim_start_matches([' ', '\t', '\u{c}']).len();
    let rest = rest.get(blanks..).unwrap_or_default();
    let line_break = if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
    format_end + blanks + line_break
}

/// The output format a statement names itself: the last `FORMAT name` outside of brackets.
pub(crate) fn output_format(text: &str) -> Option<&str> {
    let mut scanner = Scanner::new(text);
    let mut found = None;
    while let Some(token) = scanner.next() {
        if token.is("FORMAT")
            && let Some(name) = scanner.next().filter(|name| name.text.starts_with(|first: char| first.is_alphabetic()))
        {
            found = Some(name.text);
        }
    }
    found
}

/// Whether the statement begins with these words.
pub(crate) fn begins_with(text: &str, words: &[&str]) -> bool {
    let mut scanner = Scanner::new(text);
    words.iter().all(|word| scanner.next().is_some_and(|token| token.is(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<(&str, Option<&str>, &str)>) {
        match (read(text), expect) {
            (Kind::Other, None) => {}
            (Kind::Insert { head, format, data }, Some(expect)) => assert_eq!((head, format, &text[data..]), expect),
            (kind, expect) => panic!("{text:?}: {kind:?} is not {expect:?}"),
        }
    }

    #[test]
    fn an_insert_is_split_into_head_format_and_data() {
        check("INSERT INTO t FORMAT Native", Some(("INSERT INTO t", Some("Native"), "")));
        check("insert into t(a, b) format JSONEachRow\n{\"a\":1}", Some(("insert into t(a, b)", Some("JSONEachRow"), "{\"a\":1}")));
        check("INSERT INTO t FORMAT TSV\r\n1\n", Some(("INSERT INTO t", Some("TSV"), "1\n")));
        check("INSERT INTO t FORMAT CSV 1,2", Some(("INSERT INTO t", Some("CSV"), "1,2")));
        check("INSERT INTO t VALUES (1)", Some(("INSERT INTO t", Some("Values"), " (1)")));
        check(
            "INSERT INTO t (a) SETTINGS x = 'VALUES', y = 1 VALUES (1)",
            Some(("INSERT INTO t (a) SETTINGS x = 'VALUES', y = 1", Some("Values"), " (1)")),
        );
        check(
            "-- VALUES\nINSERT /* FORMAT */ INTO `a``b`.\"FORMAT x\" (c) FORMAT CSV\n",
            Some(("-- VALUES\nINSERT /* FORMAT */ INTO `a``b`.\"FORMAT x\" (c)", Some("CSV"), "")),
        );
        check("INSERT INTO t (a)", Some(("INSERT INTO t (a)", None, "")));
        check("INSERT INTO t;", Some(("INSERT INTO t", None, "")));
    }

    #[test]
    fn a_table_named_like_a_keyword_is_only_a_name() {
        check("INSERT INTO values VALUES (1)", Some(("INSERT INTO values", Some("Values"), " (1)")));
        check("INSERT INTO format.values FORMAT CSV\n1", Some(("INSERT INTO format.values", Some("CSV"), "1")));
        check(
            "INSERT INTO TABLE FUNCTION file('x', 'CSV') FORMAT TSV\n",
            Some(("INSERT INTO TABLE FUNCTION file('x', 'CSV')", Some("TSV"), "")),
        );
    }

    #[test]
    fn other_statements_carry_no_rows() {
        for text in [
            "",
            "SELECT 1",
            "INSERT INTO t SELECT 1",
            "INSERT INTO t (a) WITH 1 AS x SELECT x FORMAT Null",
            "INSERT INTO t (SELECT 1)",
            "INSERT INTO t ((select 1))",
            "INSERT INTO t FROM INFILE 'x' FORMAT CSV",
            "CREATE TABLE t (a String) COMMENT 'INSERT INTO t VALUES'",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn broken_texts_end_the_scan() {
        for text in ["INSERT INTO t ('", "INSERT INTO t (((", "INSERT /* ", "INSERT INTO `", "é'\\", "INSERT INTO t FORMAT"] {
            let _only_ends = (read(text), output_format(text), begins_with(text, &["INSERT", "INTO", "t"]));
        }
    }

    #[test]
    fn the_last_format_clause_names_the_output() {
        assert_eq!(output_format("SELECT 'FORMAT X' FORMAT JSON SETTINGS a=1"), Some("JSON"));
        assert_eq!(output_format("SELECT (SELECT 1 FORMAT CSV)"), None);
        assert_eq!(output_format("SELECT 1"), None);
        assert_eq!(output_format("SELECT format, 1 FORMAT CSV SETTINGS format = 1"), Some("CSV"));
    }
}
