//! Reads the stack text of V8 (Chrome, Edge, Node), Firefox and Safari into frames.
//!
//! ```text
//! V8       at Cart.add (https://shop.example/app.js:10:22)       at async https://shop.example/app.js:3:1
//!          at eval (eval at run (https://shop.example/app.js:1:2), <anonymous>:4:5)
//!          at Array.map (<anonymous>)       at async Promise.all (index 0)
//!          at sum (wasm://wasm/9a1b2c4e:wasm-function[3]:0x1f4)
//! Firefox  add@https://shop.example/app.js:10:22       async*load/inner<@https://shop.example/app.js:3:1
//!          run@https://shop.example/app.js line 3 > eval:1:1
//! Safari   add@https://shop.example/app.js:10:22       global code@https://shop.example/app.js:1:1
//!          forEach@[native code]
//! ```

use serde::{Deserialize, Serialize};

/// One call on a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Frame {
    /// Name of the function as the browser gives it (`Cart.add`, `new Item`, `load/inner<`), `""` for anonymous and top-level code.
    pub function: String,
    /// URL of the script, for code made by `eval` of the one that made it; `""` for code of the browser itself.
    pub file: String,
    /// From 1; 0 when unknown, and for WebAssembly.
    pub line: u32,
    /// From 1; 0 when unknown. For WebAssembly the offset in the module, bytes.
    pub column: u32,
    /// Whether it is the page's own code, and not the browser's, an extension's or an installed package's, as far as the file tells.
    pub in_app: bool,
    /// Whether what is above it on the stack ran later, as by `await`.
    #[serde(rename = "async", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_async: bool,
    /// Whether the code was made by `eval` or `Function`; the place is that of the call which made it.
    #[serde(rename = "eval", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_eval: bool,
}

/// At most this many frames are read.
const MAX_FRAMES: usize = 64;

/// The frames of a stack text, innermost first. Lines that are no frame (the message) are left out.
pub fn frames(stack: &str) -> Vec<Frame> {
    stack.lines().filter_map(frame).take(MAX_FRAMES).collect()
}

impl Frame {
    /// The bare name of the function, the same in all browsers: `add` of `Cart.add`, `new add` and `load/add<`.
    pub fn short_function(&self) -> &str {
        let function = self.function.strip_prefix("new ").unwrap_or(&self.function);
        let function = function.rsplit('/').next().unwrap_or(function).trim_end_matches('<');
        function.rsplit('.').next().unwrap_or(function)
    }
}

fn frame(line: &str) -> Option<Frame> {
    let line = line.trim();
    let (is_async, function, place) = match line.strip_prefix("at ") {
        Some(rest) => split_v8(rest)?,
        None => split_at_sign(line)?,
    };
    let Place { file, line, column, is_eval, function: fallback } = place;
    let function = if is_anonymous(function) { fallback } else { function };
    Some(Frame { function: function.to_owned(), file: file.to_owned(), line, column, in_app: is_in_app(file), is_async, is_eval })
}

/// Whether it is asynchronous, the function's name, and where.
type Parts<'a> = (bool, &'a str, Place<'a>);

/// `name (place)` or `place`. A file's name can have parentheses too: the first ` (` ends the function's name.
fn split_v8(rest: &str) -> Option<Parts<'_>> {
    let (is_async, rest) = strip(rest, "async ");
    let (function, place) = match rest.strip_suffix(')').and_then(|rest| rest.split_once(" (")) {
        Some((function, place)) => (function, native(place).or_else(|| script(place))?),
        // Text of a message may begin with `at ` as well.
        None if matches!(rest, "native" | "<anonymous>") => ("", Place::default()),
        None => ("", script(rest)?),
    };
    Some((is_async, function.split_once(" [as ").map_or(function, |(function, _)| function), place))
}

/// `name@place`, or a URL without a name.
fn split_at_sign(line: &str) -> Option<Parts<'_>> {
    let Some((function, place)) = at_sign(line) else {
        if line == "[native code]" {
            return Some((false, "", Place::default()));
        }
        let place = script(line)?;
        return has_scheme(place.file, "://").then_some((false, "", place));
    };
    // Firefox says before a star who called: `async*load`, `setTimeout handler*load`.
    let (is_async, function) = function.rsplit_once('*').map_or_else(|| strip(function, "async "), |(_, function)| (true, function));
    // A message with an address in it: `Error: no answer from mail@example.com:25`.
    if function.contains(": ") {
        return None;
    }
    Some((is_async, function, native(place).or_else(|| script(place))?))
}

/// Whether a text has this prefix, and the text without it.
fn strip<'a>(text: &'a str, prefix: &str) -> (bool, &'a str) {
    text.strip_prefix(prefix).map_or((false, text), |rest| (true, rest))
}

/// The sign between name and place. Both may have more of them: `@scope/f@https://cdn.example/vue@3/vue.js:1:2`.
fn at_sign(line: &str) -> Option<(&str, &str)> {
    let mut signs = line.match_indices('@').map(|(at, _)| (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default()));
    signs.find(|(_, place)| place.starts_with(['/', '[']) || has_scheme(place, ":")).or_else(|| line.rsplit_once('@'))
}

/// Whether a text begins with the scheme of a URL and what must follow it.
fn has_scheme(text: &str, end: &str) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let len = text.bytes().take_while(|byte| is_part(byte)).count();
    len > 0 && text.get(len..).is_some_and(|rest| rest.starts_with(end))
}

/// Where a frame is; a native one has no file.
#[derive(Clone, Copy, Default)]
struct Place<'a> {
    file: &'a str,
    line: u32,
    column: u32,
    is_eval: bool,
    /// A name for a function without one.
    function: &'a str,
}

/// Code of the browser itself, which has no place.
fn native(place: &str) -> Option<Place<'_>> {
    let is_native = matches!(place, "native" | "<anonymous>" | "[native code]" | "[wasm code]" | "unknown location" | "unknown source");
    (is_native || place.starts_with("index ")).then(Place::default)
}

fn script(place: &str) -> Option<Place<'_>> {
    v8_eval(place).or_else(|| firefox_eval(place)).or_else(|| wasm(place)).or_else(|| position(place))
}

/// `eval at run (https://shop.example/a.js:1:2), <anonymous>:4:5`, perhaps nested; the innermost is where code of a file called.
fn v8_eval(place: &str) -> Option<Place<'_>> {
    place.strip_prefix("eval at ")?;
    let (_, origin) = place.rsplit_once("eval at ")?;
    let (_, origin) = origin.split_once(" (")?;
    // Every place that it is nested in closes here too.
    let origin = origin.split_once("), ").map_or(origin, |(origin, _)| origin).trim_end_matches(')');
    Some(Place { is_eval: true, ..native(origin).or_else(|| position(origin))? })
}

/// `https://shop.example/app.js line 3 > eval:1:1`; what follows the first `>` are places within the made code.
fn firefox_eval(place: &str) -> Option<Place<'_>> {
    let (made_by, _) = place.split_once(" > ")?;
    let (file, line) = made_by.rsplit_once(" line ")?;
    Some(Place { file, line: line.parse().ok()?, is_eval: true, ..Place::default() })
}

/// `https://shop.example/sum.wasm:wasm-function[3]:0x1f4`
fn wasm(place: &str) -> Option<Place<'_>> {
    let at = place.find(":wasm-function[")?;
    let (file, function) = (place.get(..at)?, place.get(at + 1..)?);
    let (function, offset) = function.rsplit_once(":0x")?;
    Some(Place { file, column: u32::from_str_radix(offset, 16).ok()?, function, ..Place::default() })
}

/// `url:line:column`, `url:line`; a URL can hold colons and numbers itself.
fn position(place: &str) -> Option<Place<'_>> {
    let (rest, last) = place.rsplit_once(':')?;
    let last = last.parse().ok()?;
    Some(match rest.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?))) {
        Some((file, line)) => Place { file, line, column: last, ..Place::default() },
        None => Place { file: rest, line: last, ..Place::default() },
    })
}

fn is_anonymous(function: &str) -> bool {
    const NAMES: [&str; 9] = [
        "",
        "<anonymous>",
        "anonymous",
        "(anonymous function)",
        "Anonymous function",
        "global code",
        "Global code",
        "eval code",
        "module code",
    ];
    NAMES.contains(&function)
}

fn is_in_app(file: &str) -> bool {
    const FOREIGN: [&str; 10] = [
        "chrome-extension://",
        "moz-extension://",
        "safari-extension://",
        "safari-web-extension://",
        "webkit-masked-url://",
        "chrome://",
        "resource://",
        "node:",
        "self-hosted",
        "debugger eval code",
    ];
    const INSTALLED: [&str; 4] = ["/node_modules/", "/.vite/deps/", "/webpack/bootstrap", "/webpack/runtime/"];
    !file.is_empty() && !FOREIGN.iter().any(|prefix| file.starts_with(prefix)) && !INSTALLED.iter().any(|part| file.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (&'static str, &'static str, u32, u32);

    fn check(stack: &str, expected: &[Row]) {
        let found = frames(stack);
        let found: Vec<_> = found.iter().map(|f| (f.function.as_str(), f.file.as_str(), f.line, f.column)).collect();
        assert_eq!(found, expected, "{stack}");
    }

    #[test]
    fn v8_stacks_are_read() {
        check(
            "TypeError: a is not a function
    at Cart.add (https://shop.example/app.js?v=1:10:22)
    at async https://shop.example/app.js:3:1
    at async load (https://shop.example/app.js:4:1)
    at new Item [as make] (webpack:///src/item.ts:7:9)
    at Object.<anonymous> (https://shop.example/app.js:1:1)
    at HTMLButtonElement.<anonymous> (https://shop.example/app.js:2:1)
    at get Cart.total [as total] (https://shop.example/app.js:5:6)
    at Array.map (<anonymous>)
    at new Promise (<anonymous>)
    at async Promise.all (index 0)
    at Array.forEach (native)
    at <anonymous>:1:1
    at http://localhost:8080/app.js:9",
            &[
                ("Cart.add", "https://shop.example/app.js?v=1", 10, 22),
                ("", "https://shop.example/app.js", 3, 1),
                ("load", "https://shop.example/app.js", 4, 1),
                ("new Item", "webpack:///src/item.ts", 7, 9),
                ("Object.<anonymous>", "https://shop.example/app.js", 1, 1),
                ("HTMLButtonElement.<anonymous>", "https://shop.example/app.js", 2, 1),
                ("get Cart.total", "https://shop.example/app.js", 5, 6),
                ("Array.map", "", 0, 0),
                ("new Promise", "", 0, 0),
                ("Promise.all", "", 0, 0),
                ("Array.forEach", "", 0, 0),
                ("", "<anonymous>", 1, 1),
                ("", "http://localhost:8080/app.js", 9, 0),
            ],
        );
    }

    #[test]
    fn files_of_every_kind_are_read() {
        check(
            "Error
    at f (webpack-internal:///./src/cart (old).js:12:3)
    at https://shop.example/a (copy).js:1:2
    at g (https://shop.example/app(1).js:3:4)
    at h (chrome-extension://abcdef/content.js:5:6)
    at i (blob:https://shop.example/0193480e-7c1b:7:8)
    at j (data:text/javascript,1:1:9:10)
    at k (file:///C:/shop/app.js:11:12)
    at l (C:\\shop\\app.js:13:14)
    at m (/srv/shop/app.js:15:16)
    at node:internal/process/task_queues:95:5
    at n (app:///main.js:17:18)
    at o (https://[::1]:8080/app.js:19:20)",
            &[
                ("f", "webpack-internal:///./src/cart (old).js", 12, 3),
                ("", "https://shop.example/a (copy).js", 1, 2),
                ("g", "https://shop.example/app(1).js", 3, 4),
                ("h", "chrome-extension://abcdef/content.js", 5, 6),
                ("i", "blob:https://shop.example/0193480e-7c1b", 7, 8),
                ("j", "data:text/javascript,1:1", 9, 10),
                ("k", "file:///C:/shop/app.js", 11, 12),
                ("l", "C:\\shop\\app.js", 13, 14),
                ("m", "/srv/shop/app.js", 15, 16),
                ("", "node:internal/process/task_queues", 95, 5),
                ("n", "app:///main.js", 17, 18),
                ("o", "https://[::1]:8080/app.js", 19, 20),
            ],
        );
    }

    #[test]
    fn code_of_eval_is_where_it_was_made() {
        let stack = "Error
    at eval (eval at run (https://shop.example/a.js:1:2), <anonymous>:4:5)
    at Object.f [as g] (eval at a (eval at b (https://shop.example/b (1).js:3:4)), <anonymous>:1:1)
    at inner (eval at outer (eval at run (https://shop.example/c.js:5:6), <anonymous>:7:8), <anonymous>:9:10)
    at eval (eval at <anonymous> (<anonymous>), <anonymous>:1:1)
run@https://shop.example/d.js line 7 > eval:1:1
anonymous@https://shop.example/e.js line 8 > eval line 2 > Function:3:4
eval code@
eval@[native code]";
        check(
            stack,
            &[
                ("eval", "https://shop.example/a.js", 1, 2),
                ("Object.f", "https://shop.example/b (1).js", 3, 4),
                ("inner", "https://shop.example/c.js", 5, 6),
                ("eval", "", 0, 0),
                ("run", "https://shop.example/d.js", 7, 0),
                ("", "https://shop.example/e.js", 8, 0),
                ("eval", "", 0, 0),
            ],
        );
        assert!(frames(stack).iter().take(6).all(|frame| frame.is_eval));
        // Named by `sourceURL`, as bundlers do: a file like any other.
        let named = frames("Error\n    at eval (webpack-internal:///./src/x.js:12:3)");
        assert!(!named[0].is_eval && named[0].file == "webpack-internal:///./src/x.js");
    }

    #[test]
    fn firefox_stacks_are_read() {
        check(
            "add@https://shop.example/app.js:10:22
@https://shop.example/app.js:3:1
async*load/inner<@https://cdn.example/vue@3.5/dist/vue.js:5:6
load/<@https://shop.example/app.js:6:7
promise callback*Cart.prototype.load@https://shop.example/app.js:7:8
setTimeout handler*@https://shop.example/app.js:8:9
EventListener.handleEvent*listen@https://shop.example/app.js:9:10
@scope/pkg@https://shop.example/app.js:11:12
content@moz-extension://0193-480e/content.js:13:14
@debugger eval code:1:1
https://shop.example/app.js:9:8",
            &[
                ("add", "https://shop.example/app.js", 10, 22),
                ("", "https://shop.example/app.js", 3, 1),
                ("load/inner<", "https://cdn.example/vue@3.5/dist/vue.js", 5, 6),
                ("load/<", "https://shop.example/app.js", 6, 7),
                ("Cart.prototype.load", "https://shop.example/app.js", 7, 8),
                ("", "https://shop.example/app.js", 8, 9),
                ("listen", "https://shop.example/app.js", 9, 10),
                ("@scope/pkg", "https://shop.example/app.js", 11, 12),
                ("content", "moz-extension://0193-480e/content.js", 13, 14),
                ("", "debugger eval code", 1, 1),
                ("", "https://shop.example/app.js", 9, 8),
            ],
        );
    }

    #[test]
    fn safari_stacks_are_read() {
        check(
            "add@https://shop.example/app.js:10:22
forEach@[native code]
[native code]
@[native code]
global code@https://shop.example/app.js:1:1
module code@https://shop.example/m.js:2:2
async load@https://shop.example/app.js:3:4
@webkit-masked-url://hidden/:15:22
content@safari-web-extension://0193/content.js:5:6
old@https://shop.example/app.js:48
(anonymous function)@https://shop.example/app.js:49:1",
            &[
                ("add", "https://shop.example/app.js", 10, 22),
                ("forEach", "", 0, 0),
                ("", "", 0, 0),
                ("", "", 0, 0),
                ("", "https://shop.example/app.js", 1, 1),
                ("", "https://shop.example/m.js", 2, 2),
                ("load", "https://shop.example/app.js", 3, 4),
                ("", "webkit-masked-url://hidden/", 15, 22),
                ("content", "safari-web-extension://0193/content.js", 5, 6),
                ("old", "https://shop.example/app.js", 48, 0),
                ("", "https://shop.example/app.js", 49, 1),
            ],
        );
    }

    #[test]
    fn web_assembly_has_offsets_instead_of_lines() {
        check(
            "RuntimeError: unreachable
    at sum (wasm://wasm/9a1b2c4e:wasm-function[3]:0x1f4)
    at https://shop.example/sum.wasm:wasm-function[12]:0x1a
sum@https://shop.example/sum.wasm:wasm-function[3]:0x1f4
<?>.wasm-function[7]@[wasm code]",
            &[
                ("sum", "wasm://wasm/9a1b2c4e", 0, 0x1f4),
                ("wasm-function[12]", "https://shop.example/sum.wasm", 0, 0x1a),
                ("sum", "https://shop.example/sum.wasm", 0, 0x1f4),
                ("<?>.wasm-function[7]", "", 0, 0),
            ],
        );
    }

    #[test]
    fn asynchronous_calls_are_marked() {
        let stack =
            "at async load (https://shop.example/app.js:4:1)\nat async https://shop.example/app.js:3:1\nat async Promise.all (index 0)
async*load@https://shop.example/app.js:4:1\nsetTimeout handler*@https://shop.example/app.js:8:9\nasync load@https://shop.example/app.js:4:1
at load (https://shop.example/a*b.js:4:1)\nat https://shop.example/a*b.js:4:1\nasync@https://shop.example/app.js:4:1";
        let marks: Vec<_> = frames(stack).iter().map(|frame| frame.is_async).collect();
        assert_eq!(marks, [true, true, true, true, true, true, false, false, false]);
    }

    #[test]
    fn text_of_a_message_is_no_frame() {
        for text in [
            "Error: ratio 16:9\nfailed at 10:30",
            "Error: no answer from mail@example.com:25",
            "TypeError: cannot reach https://shop.example:8080",
            "at home we have\nat 16 o'clock (sharp)",
            "user@example",
            "",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn the_pages_own_code_is_told_from_what_others_wrote() {
        let own = "at a (https://shop.example/app.js:1:1)\nat b (webpack:///./src/x.ts:1:1)\nat c (<anonymous>:1:1)\nat d (wasm://wasm/9a:wasm-function[3]:0x1f4)";
        assert!(frames(own).iter().all(|frame| frame.in_app));
        let foreign = "at a (chrome-extension://x/y.js:1:1)\nat b (webpack:///./node_modules/vue/x.js:1:1)\nat Array.map (<anonymous>)\nat d (node:fs:1:1)\nat e (webpack:///webpack/bootstrap:1:1)";
        assert_eq!(frames(foreign).iter().filter(|frame| !frame.in_app).count(), 5);
    }

    #[test]
    fn a_function_has_one_short_name_in_all_browsers() {
        let short = |function: &str| Frame { function: function.into(), ..Frame::default() }.short_function().to_owned();
        for function in ["add", "Cart.add", "new add", "Cart.prototype.add", "load/add<", "load/cart.add"] {
            assert_eq!(short(function), "add", "{function}");
        }
        assert_eq!((short(""), short("load/<")), (String::new(), String::new()));
    }

    #[test]
    fn an_endless_stack_is_cut() {
        assert_eq!(frames(&"f@https://shop.example/app.js:1:1\n".repeat(1_000)).len(), MAX_FRAMES);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "(.|\n|at |@|:[0-9]|eval at | \\(|\\)|, | line | > |:wasm-function\\[|:0x|://|\\*){0,80}") {
            for frame in frames(&text) {
                let _ = frame.short_function();
            }
        }
    }
}
