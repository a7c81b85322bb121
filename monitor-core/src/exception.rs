//! What an error event says about the error, its causes and the errors within it, with stacks read into frames.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    Document, Kind,
    stack::{self, Frame},
};

/// An error, or one that it brought along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Exception {
    /// What it is to the event.
    pub role: Role,
    /// Its type: `TypeError`.
    pub name: String,
    /// Its text.
    pub message: String,
    /// Its stack, innermost call first.
    pub frames: Vec<Frame>,
}

/// What an [`Exception`] is to its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// The error itself.
    Error,
    /// The cause of the one before it.
    Cause,
    /// One of those that an `AggregateError` holds.
    Inner,
}

/// Most causes and most inner errors that are read; the SDK sends no more.
const MAX_CAUSES: usize = 5;
const MAX_INNER: usize = 10;

#[derive(Default, Deserialize)]
struct Details<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stack: Option<&'a RawValue>,
    #[serde(borrow, default)]
    causes: Option<&'a RawValue>,
    #[serde(borrow, default)]
    errors: Option<&'a RawValue>,
}

impl Document {
    /// Fills [`Document::exceptions`] of an error from its `data`: the error, its causes from the outermost, its inner errors. Other kinds have none.
    /// Details of another shape than the protocol's are left out.
    pub fn read_exceptions(&mut self) {
        if self.kind != Kind::Error {
            return;
        }
        // What is twice in the object, or no object, leaves nothing but the event's own name.
        let details: Details<'_> = serde_json::from_str(self.data.get()).unwrap_or_default();
        let mut exceptions = vec![Exception { name: self.name.clone(), ..exception(Role::Error, &details) }];
        for (role, listed, most) in [(Role::Cause, details.causes, MAX_CAUSES), (Role::Inner, details.errors, MAX_INNER)] {
            let listed = listed.and_then(|listed| serde_json::from_str::<Vec<&RawValue>>(listed.get()).ok()).unwrap_or_default();
            let objects = listed.into_iter().map(RawValue::get).filter(|listed| listed.starts_with('{'));
            let read = objects.filter_map(|listed| serde_json::from_str::<Details<'_>>(listed).ok());
            exceptions.extend(read.take(most).map(|details| exception(role, &details)));
        }
        self.exceptions = exceptions;
    }
}

fn exception(role: Role, details: &Details<'_>) -> Exception {
    let frames = stack::frames(&text(details.stack));
    Exception { role, name: text(details.name), message: text(details.message), frames }
}

fn text(raw: Option<&RawValue>) -> String {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{Event, EventId, Origin};

    fn read(kind: Kind, data: &Value) -> Value {
        let mut event = Event::new(EventId(1), 0, kind, "TypeError");
        event.data = serde_json::value::to_raw_value(data).unwrap();
        let mut document = Document::new(&Origin::new("shop", 0), &event);
        document.read_exceptions();
        serde_json::to_value(document).unwrap()["exceptions"].take()
    }

    #[test]
    fn an_error_its_causes_and_its_inner_errors_are_read_in_this_order() {
        let data = json!({
            "message": "cart is gone",
            "stack": "TypeError: cart is gone\n    at Cart.add (https://shop.example/app.js:10:22)\n    at Array.map (<anonymous>)",
            "causes": [{"name": "NetworkError", "message": "no answer", "stack": "load@https://shop.example/net.js:1:2"}, {"name": "Error", "message": "deep"}],
            "errors": [{"name": "RangeError", "message": "first", "stack": null}],
        });
        let frame = |function: &str, file: &str, line: u32, column: u32, in_app: bool| json!({"function": function, "file": file, "line": line, "column": column, "in_app": in_app});
        let expected = json!([
            {"role": "error", "name": "TypeError", "message": "cart is gone", "frames": [
                frame("Cart.add", "https://shop.example/app.js", 10, 22, true),
                frame("Array.map", "", 0, 0, false),
            ]},
            {"role": "cause", "name": "NetworkError", "message": "no answer", "frames": [frame("load", "https://shop.example/net.js", 1, 2, true)]},
            {"role": "cause", "name": "Error", "message": "deep", "frames": []},
            {"role": "inner", "name": "RangeError", "message": "first", "frames": []},
        ]);
        assert_eq!(read(Kind::Error, &data), expected);
    }

    #[test]
    fn details_of_another_shape_are_left_out() {
        let bare = json!([{"role": "error", "name": "TypeError", "message": "", "frames": []}]);
        let odd = [
            json!({}),
            json!({"message": 7, "stack": ["at f (a:1:1)"], "causes": "none", "errors": {}}),
            json!({"causes": [1, null, "x", []], "errors": [[{}]]}),
        ];
        for data in odd {
            assert_eq!(read(Kind::Error, &data), bare, "{data}");
        }
    }

    #[test]
    fn more_than_the_sdk_sends_is_not_read() {
        let many = vec![json!({"name": "E"}); 1_000];
        let read = read(Kind::Error, &json!({"causes": many, "errors": many}));
        assert_eq!(read.as_array().unwrap().len(), 1 + MAX_CAUSES + MAX_INNER);
    }

    #[test]
    fn other_kinds_have_none() {
        assert_eq!(read(Kind::Console, &json!({"stack": "f@https://shop.example/app.js:1:1"})), Value::Null);
    }
}
