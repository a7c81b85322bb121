//! Reads the stack text of V8, Firefox and Safari into frames.

/// One call on a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// Name of the function, `""` when anonymous.
    pub function: String,
    /// URL of the script.
    pub file: String,
    /// From 1; 0 when unknown.
    pub line: u32,
    /// From 1; 0 when unknown.
    pub column: u32,
}

/// At most this many frames are read.
const MAX_FRAMES: usize = 64;

/// The frames of a stack text, innermost first. Lines that are no frame (the message) are left out.
///
/// V8 writes `    at name (url:line:column)` or `    at url:line:column`, Firefox and Safari `name@url:line:column`.
pub fn frames(stack: &str) -> Vec<Frame> {
    stack.lines().filter_map(frame).take(MAX_FRAMES).collect()
}

fn frame(line: &str) -> Option<Frame> {
    let line = line.trim();
    if let Some(rest) = line.strip_prefix("at ") {
        let (function, place) = match rest.strip_suffix(')').and_then(|rest| rest.split_once(" (")) {
            Some((function, place)) => (function, place),
            None => ("", rest.strip_prefix("async ").unwrap_or(rest)),
        };
        // Code of `eval`: the place is that of the call.
        let place = place.rsplit_once(", ").map_or(place, |(_, place)| place);
        return place_of(place).map(|(file, line, column)| Frame { function: tidy(function), file, line, column });
    }
    let (function, place) = line.rsplit_once('@').filter(|(function, _)| !function.contains("://")).unwrap_or(("", line));
    let (file, number, column) = place_of(place)?;
    // Without an `@` only a line that is nothing but a URL is a frame.
    let is_frame = line.contains('@') || file.contains("://");
    is_frame.then(|| Frame { function: tidy(function), file, line: number, column })
}

/// `url:line:column`, `url:line`; a URL can hold colons and numbers itself.
fn place_of(place: &str) -> Option<(String, u32, u32)> {
    let (rest, last) = place.rsplit_once(':')?;
    let last = last.parse().ok()?;
    match rest.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?))) {
        Some((file, line)) => Some((file.to_owned(), line, last)),
        None => Some((rest.to_owned(), last, 0)),
    }
}

/// The same function under the names that different browsers give it.
fn tidy(function: &str) -> String {
    let function = function.strip_prefix("async ").unwrap_or(function);
    let function = function.strip_prefix("new ").unwrap_or(function);
    let function = function.split(" [as ").next().unwrap_or(function);
    let function = function.rsplit('/').next().unwrap_or(function).trim_end_matches('<');
    match function {
        "<anonymous>" | "anonymous" | "global code" | "eval code" | "module code" => String::new(),
        _ => function.rsplit('.').next().unwrap_or(function).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stack: &str, expected: &[(&str, &str, u32, u32)]) {
        let found = frames(stack);
        let found: Vec<_> = found.iter().map(|f| (f.function.as_str(), f.file.as_str(), f.line, f.column)).collect();
        assert_eq!(found, expected, "{stack}");
    }

    #[test]
    fn v8_stacks_are_read() {
        check(
            "TypeError: a is not a function\n    at Cart.add (https://shop.example/app.js?v=1:10:22)\n    at async https://shop.example/app.js:3:1\n    \
             at new Item [as make] (webpack:///src/item.ts:7:9)\n    at eval (eval at run (https://shop.example/a.js:1:2), <anonymous>:4:5)\n    at Array.map (<anonymous>)",
            &[
                ("add", "https://shop.example/app.js?v=1", 10, 22),
                ("", "https://shop.example/app.js", 3, 1),
                ("Item", "webpack:///src/item.ts", 7, 9),
                ("eval", "<anonymous>", 4, 5),
            ],
        );
    }

    #[test]
    fn firefox_and_safari_stacks_are_read() {
        check(
            "add@https://shop.example/app.js:10:22\n@https://shop.example/app.js:3:1\nasync*load/inner<@https://shop.example/x@2/b.js:5:6\nglobal code@https://shop.example/app.js:1:1",
            &[
                ("add", "https://shop.example/app.js", 10, 22),
                ("", "https://shop.example/app.js", 3, 1),
                ("", "async*load/inner<@https://shop.example/x@2/b.js", 5, 6),
                ("", "https://shop.example/app.js", 1, 1),
            ],
        );
        check("https://shop.example/app.js:9:8", &[("", "https://shop.example/app.js", 9, 8)]);
        check("Error: ratio 16:9\nfailed at 10:30", &[]);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "(.|\n|at |@|:[0-9]){0,80}") {
            let _ = frames(&text);
        }
    }
}
