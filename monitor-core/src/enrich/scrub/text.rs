//! Secrets in plain text. Each step runs over the text once, whatever is in it.

use std::borrow::Cow;

use memchr::{memchr, memchr2_iter, memchr3};

use super::{SCRUBBED, is_secret_key, json::value_length, may_be_secret, plain};

/// A URL parameter or cookie of exactly this name holds a secret, too; elsewhere these words are harmless (`code=ECONNRESET`).
const SECRET_PARAMETERS: &[&str] =
    &["auth", "code", "email", "key", "mail", "otp", "pass", "pin", "sessionid", "sid", "sig", "signature", "state"];

/// Headers that are recognised in lines like `Cookie: a=b`.
const SECRET_HEADERS: &[&str] =
    &["apikey", "authorization", "cookie", "proxyauthorization", "setcookie", "xapikey", "xauthtoken", "xcsrftoken", "xxsrftoken"];

/// Longer names are none.
const MAX_NAME: usize = 256;
/// Shorter words after `Bearer` are words.
const MIN_TOKEN: usize = 8;

/// A text without its secrets; borrowed when there are none.
pub(super) fn scrub_text(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for step in [scrub_user_part, scrub_assignments, scrub_tokens] {
        if let Some(scrubbed) = step(&text) {
            text = Cow::Owned(scrubbed);
        }
    }
    text
}

/// Whether a parameter may be among the [`SECRET_PARAMETERS`]: a cheap look at what stands in front of each equals sign, for the
/// many texts that hold a URL and no secret. May find too much, never too little.
pub(super) fn may_have_secret_parameter(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr2_iter(b'=', b'%', bytes).any(|at| {
        let sign = bytes.get(at..).unwrap_or_default();
        let is_equals = sign.starts_with(b"=") || encoded(sign).is_some_and(|(byte, ..)| byte == b'=');
        is_equals && may_be_secret_parameter(bytes.get(at.saturating_sub(MAX_NAME)..at).unwrap_or_default())
    })
}

fn may_be_secret_parameter(before: &[u8]) -> bool {
    let is_delimiter = |byte: &u8| matches!(byte, b'=' | b'&' | b'?' | b'#' | b';' | b'/' | b',' | b' ');
    let start = before.iter().rposition(is_delimiter).map_or(0, |delimiter| delimiter + 1);
    let name = before.get(start..).unwrap_or_default();
    // What is encoded, quoted or escaped is for the thorough look.
    if name.iter().any(|byte| matches!(byte, b'%' | b'+' | b'\\' | b'"' | b'\'')) {
        return true;
    }
    let ends_with = |word: &str| {
        let mut letters = name.iter().rev().filter(|byte| byte.is_ascii_alphanumeric());
        word.bytes().rev().all(|wanted| letters.next().is_some_and(|byte| byte.eq_ignore_ascii_case(&wanted)))
    };
    SECRET_PARAMETERS.iter().copied().chain(["sessid"]).any(ends_with)
}

/// Copies a text with some parts replaced.
struct Copy<'a> {
    text: &'a str,
    out: String,
    copied: usize,
}

impl<'a> Copy<'a> {
    fn of(text: &'a str) -> Copy<'a> {
        Copy { text, out: String::new(), copied: 0 }
    }

    fn replace(&mut self, start: usize, end: usize) {
        self.out.push_str(self.text.get(self.copied..start).unwrap_or_default());
        self.out.push_str(SCRUBBED);
        self.copied = end;
    }

    fn finish(mut self) -> Option<String> {
        if self.out.is_empty() {
            return None;
        }
        self.out.push_str(self.text.get(self.copied..).unwrap_or_default());
        Some(self.out)
    }
}

/// The user part of URLs: `https://user:password@host`, also with slashes escaped as in `https:\/\/`.
fn scrub_user_part(text: &str) -> Option<String> {
    memchr(b'@', text.as_bytes())?;
    let mut copy = Copy::of(text);
    let mut at = 0;
    while let Some(colon) = text.get(at..).and_then(|rest| rest.find(':')) {
        at += colon + 1;
        let rest = text.get(at..).unwrap_or_default();
        let Some(after) = rest.strip_prefix("//").or_else(|| rest.strip_prefix("\\/\\/")) else { continue };
        let start = text.len() - after.len();
        let authority =
            after.find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\\' | '<' | '>' | ')')).unwrap_or(after.len());
        at = start;
        if let Some(end) = after.get(..authority).and_then(|authority| authority.rfind('@')) {
            copy.replace(start, start + end);
            at = start + end;
        }
    }
    copy.finish()
}

/// Values of `name=value` and `"name":"value"`, percent-encoded ones too, and of header lines.
fn scrub_assignments(text: &str) -> Option<String> {
    let mut copy = Copy::of(text);
    let mut at = 0;
    while let Some(sign) = next_sign(text, at) {
        let name = Name::before(text, at, &sign);
        at = sign.end;
        let found = if sign.is_colon { after_colon(text, &sign, &name) } else { after_equals(text, &sign, &name) };
        if let Some((start, end)) = found {
            copy.replace(start, end);
            at = end;
        }
    }
    copy.finish()
}

/// `=` or `:`, plain or percent-encoded.
struct Sign {
    start: usize,
    end: usize,
    is_colon: bool,
    /// How often it is encoded: `=` 0, `%3D` 1, `%253D` 2.
    depth: usize,
}

fn next_sign(text: &str, mut at: usize) -> Option<Sign> {
    let bytes = text.as_bytes();
    loop {
        let start = at + memchr3(b'=', b':', b'%', bytes.get(at..)?)?;
        let (byte, length, depth) = match bytes.get(start)? {
            b'%' => encoded(bytes.get(start..)?).unwrap_or((b'%', 1, 0)),
            byte => (*byte, 1, 0),
        };
        at = start + length;
        // The colon of a URL follows no name.
        let is_scheme = byte == b':' && bytes.get(at..).is_some_and(|rest| rest.starts_with(b"//"));
        if matches!(byte, b'=' | b':') && !is_scheme {
            return Some(Sign { start, end: at, is_colon: byte == b':', depth });
        }
    }
}

/// The byte that `%3D`, `%253D` … at the start of the text stands for, the length of that, and how often it is encoded.
fn encoded(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let mut rest = bytes.strip_prefix(b"%")?;
    let mut depth = 1;
    while let Some(inner) = rest.strip_prefix(b"25") {
        rest = inner;
        depth += 1;
    }
    let [high, low, ..] = rest else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
    Some((byte, bytes.len() - rest.len() + 2, depth))
}

/// What stands in front of a sign.
struct Name {
    text: String,
    /// In quotes.
    is_quoted: bool,
    /// Behind `?`, `&`, `#` or `;`, or at the start of a text that is nothing but parameters.
    is_parameter: bool,
}

impl Name {
    /// Reads the name before the sign, which begins at `from` at the earliest.
    fn before(text: &str, from: usize, sign: &Sign) -> Name {
        let mut start = from.max(sign.start.saturating_sub(MAX_NAME));
        while !text.is_char_boundary(start) {
            start += 1;
        }
        let mut window = text.get(start..sign.start).unwrap_or_default();
        if sign.is_colon {
            window = window.trim_end_matches(' ');
        }
        let mut is_quoted = false;
        if let Some(unquoted) = window.strip_suffix(['"', '\'']) {
            window = unquoted.trim_end_matches('\\');
            is_quoted = true;
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']' | '$');
        let run = window.rsplit(|c| !is_name(c) && !matches!(c, '%' | '+')).next().unwrap_or_default();
        let decoded = decode(run);
        let name = match decoded.strip_suffix('"') {
            Some(name) => {
                is_quoted = true;
                name
            }
            None => &decoded,
        };
        let name_text = name.rsplit(|c| !is_name(c)).next().unwrap_or_default();
        let before = name.strip_suffix(name_text).filter(|before| !before.is_empty());
        let before = before.or_else(|| window.strip_suffix(run)).unwrap_or_default();
        let is_parameter = match before.trim_end_matches(' ').chars().next_back() {
            Some(';') => true,
            Some('?' | '&' | '#') => !before.ends_with(' '),
            None => before.is_empty() && start == 0 && !text.contains(char::is_whitespace),
            _ => false,
        };
        Name { text: name_text.to_owned(), is_quoted, is_parameter }
    }

    fn is_secret(&self) -> bool {
        is_secret_key(&self.text)
    }

    fn is_secret_parameter(&self) -> bool {
        // `user[email]` is an email, `PHPSESSID` and `connect.sid` are sessions.
        let inner = self.text.trim_end_matches(']').rsplit(['[', '.']).next().unwrap_or_default();
        let (whole, inner) = (plain(&self.text), plain(inner));
        SECRET_PARAMETERS.iter().any(|word| whole == *word || inner == *word) || whole.ends_with("sessid") || whole.ends_with("sessionid")
    }
}

/// Percent-decodes until nothing changes, at most as often as anybody encodes.
fn decode(name: &str) -> Cow<'_, str> {
    let mut name = Cow::Borrowed(name);
    for _ in 0..4 {
        if !name.contains('%') {
            break;
        }
        let mut bytes = Vec::with_capacity(name.len());
        let mut rest = name.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            match encoded(rest) {
                // One layer: `%2526` is `%26`.
                Some((_, _, depth)) if depth > 1 => {
                    bytes.push(b'%');
                    rest = rest.get(3..).unwrap_or_default();
                }
                Some((decoded, length, _)) => {
                    bytes.push(decoded);
                    rest = rest.get(length..).unwrap_or_default();
                }
                None => {
                    bytes.push(byte);
                    rest = after;
                }
            }
        }
        name = Cow::Owned(String::from_utf8_lossy(&bytes).into_owned());
    }
    name
}

/// Start and end of the secret after an equals sign.
fn after_equals(text: &str, sign: &Sign, name: &Name) -> Option<(usize, usize)> {
    let is_secret = name.is_secret() || (name.is_parameter && name.is_secret_parameter());
    if !is_secret {
        return None;
    }
    let value = text.get(sign.end..)?;
    let (start, end) = quoted(value).unwrap_or_else(|| (0, without_position(value, bare(value, sign.depth, b"&#;"))));
    let may_be = may_be_secret(&name.text, value.get(start..end)?);
    may_be.then_some((sign.end + start, sign.end + end))
}

/// Start and end of the secret after a colon. A bare `token: …` in a sentence is none: "unexpected token: end of input".
fn after_colon(text: &str, sign: &Sign, name: &Name) -> Option<(usize, usize)> {
    if !name.is_secret() {
        return None;
    }
    let rest = text.get(sign.end..)?;
    let value = rest.trim_start_matches(' ');
    let offset = text.len() - value.len();
    if sign.depth > 0 {
        let open = encoded(value.as_bytes()).filter(|(byte, ..)| *byte == b'"').map(|(_, length, _)| length);
        let (start, ends): (usize, &[u8]) = open.map_or((0, b",}]&#"), |length| (length, b"\"&#"));
        let end = start + bare(value.get(start..)?, sign.depth, ends);
        return name.is_quoted.then_some((offset + start, offset + end));
    }
    let (start, end) = if let Some(found) = quoted(value) {
        found
    } else if name.is_quoted {
        let end = if value.starts_with(['{', '[']) { value_length(value) } else { bare(value, 0, b",}]") };
        may_be_secret(&name.text, value.get(..end)?).then_some((0, end))?
    } else if SECRET_HEADERS.contains(&plain(&name.text).as_str()) {
        (0, value.find(['\n', '\r', '"', '\'', '\\']).unwrap_or(value.len()))
    } else {
        return None;
    };
    Some((offset + start, offset + end))
}

/// Start and end of what a quotation at the start of the text quotes. Quotes within JSON within a string are escaped, so that
/// `\"` may open and close and `\\\"` be a part of the text.
fn quoted(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let escape = bytes.iter().take_while(|byte| **byte == b'\\').count();
    let quote = *bytes.get(escape).filter(|byte| matches!(byte, b'"' | b'\''))?;
    let start = escape + 1;
    let mut backslashes = 0usize;
    for (at, byte) in bytes.iter().enumerate().skip(start) {
        match *byte {
            b'\\' => backslashes += 1,
            byte if byte == quote && ((backslashes + 1) / start) % 2 == 1 && (backslashes + 1).is_multiple_of(start) => {
                return Some((start, at - escape));
            }
            _ => backslashes = 0,
        }
    }
    Some((start, text.len()))
}

/// Length of a value that is not in quotes. Within an encoded text the encoded `ends` end it, too.
fn bare(value: &str, depth: usize, ends: &[u8]) -> usize {
    let bytes = value.as_bytes();
    for (at, c) in value.char_indices() {
        let ends_here = match c {
            '%' => {
                depth > 0
                    && encoded(bytes.get(at..).unwrap_or_default()).is_some_and(|(byte, _, deep)| deep <= depth && ends.contains(&byte))
            }
            '"' | '\'' | '\\' | '<' | '>' | '&' | '#' => true,
            // A password may hold these two: they end a value where nothing more of one follows.
            ')' => depth > 0 || closes(value.get(at + 1..).unwrap_or_default()),
            ';' => depth > 0 || separates(value.get(at + 1..).unwrap_or_default()),
            ',' | '}' | ']' => depth == 0 && u8::try_from(c).is_ok_and(|byte| ends.contains(&byte)),
            _ => c.is_whitespace(),
        };
        if ends_here {
            return at;
        }
    }
    value.len()
}

/// Whether a bracket before this ends what it stands in: a frame of a stack, a remark.
fn closes(rest: &str) -> bool {
    // Two more, as in `(eval at f (https://h/x.js), <anonymous>)`.
    let rest = rest.strip_prefix([')', ',', ';', '.']).unwrap_or(rest);
    let rest = rest.strip_prefix([')', ',', ';', '.']).unwrap_or(rest);
    rest.chars().next().is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | '<' | '>'))
}

/// Whether a semicolon before this ends a value: nothing follows, or another name with its value.
fn separates(rest: &str) -> bool {
    let name = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '"' | '\'' | '\\' | '<' | '>' | '&' | '#' | ';' | '?'));
    match name {
        Some(0) => !rest.starts_with(['=', '&', '#', ';', '?']),
        Some(end) => rest.get(end..).is_some_and(|rest| rest.starts_with('=')),
        None => rest.is_empty(),
    }
}

/// The length without `:line:column` at the end, which belongs to the frame of a stack and not to its URL.
fn without_position(value: &str, length: usize) -> usize {
    let cut = |text: &str| {
        let (rest, number) = text.rsplit_once(':')?;
        ((1..=7).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(rest.len())
    };
    let value = value.get(..length).unwrap_or_default();
    cut(value).and_then(|end| cut(value.get(..end)?)).unwrap_or(length)
}

/// JSON web tokens, and what follows `Bearer` and `Basic`.
fn scrub_tokens(text: &str) -> Option<String> {
    let mut copy = Copy::of(text);
    let mut is_scheme = false;
    let mut done = 0;
    let mut at = 0;
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let bytes = text.as_bytes();
    while let Some(gap) = bytes.get(at..).and_then(|rest| rest.iter().position(is_word)) {
        let start = at + gap;
        let length = bytes.get(start..).map_or(0, |rest| rest.iter().take_while(|byte| is_word(byte)).count());
        let word = text.get(start..start + length).unwrap_or_default();
        let follows = is_scheme && bytes.get(done..start).is_some_and(|between| between.iter().all(|byte| *byte == b' '));
        let more = |byte: &u8| is_word(byte) || matches!(byte, b'~' | b'+' | b'/' | b'=');
        let mut end = start + length;
        if follows {
            end = bytes.get(start..).map_or(end, |rest| start + rest.iter().take_while(|byte| more(byte)).count());
        }
        if is_web_token(word) || (follows && is_token(text.get(start..end).unwrap_or_default())) {
            copy.replace(start, end);
        }
        is_scheme = ["bearer", "basic"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme));
        done = end;
        at = end;
    }
    copy.finish()
}

/// Header, claims and signature in base64; the header begins with `{"`.
fn is_web_token(word: &str) -> bool {
    word.starts_with("eyJ") && word.split('.').filter(|part| part.len() >= 4).count() >= 2
}

/// Not a word of a sentence about tokens.
fn is_token(word: &str) -> bool {
    let word = word.trim_end_matches('.');
    word.len() >= MIN_TOKEN && word.bytes().skip(1).any(|byte| !byte.is_ascii_lowercase())
}
