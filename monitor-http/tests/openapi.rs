//! `openapi.json`: made here, committed, served by the service, and compared with the Rust types it describes.
//!
//! `MONITOR_WRITE=1 cargo test -p monitor-http --test openapi` writes it anew.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that finds something else than it expects fails"
)]

mod common;

use std::collections::BTreeSet;

use common::{get, post_json, quick, scene_with, serve, store::Recorder};
use monitor_core::{
    Document, Event, EventId, Kind, Origin,
    query::{
        EventQuery, Field, Filter, FunnelQuery, FunnelStep, Happening, IssueQuery, IssueState, MAX_LIMIT, MAX_VALUES, Measure, OrderBy,
        PathQuery, Query, RetentionQuery, SessionQuery, Stats, Table, Top,
    },
};
use monitor_http::access::{self, Role};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// The words for fields.
const FIELDS: &str = "id kind name route url release environment browser browser_version os os_version referrer title sdk device country connection \
    language session visitor user page fingerprint message status method target failure rating";
/// The words for measures.
const MEASURES: &str = "count visitors sessions pages sum avg min max p50 p75 p90 p95 p99 rate histogram failures failure_rate good needs_improvement \
    poor good_share needs_improvement_share poor_share first_seen last_seen any_name any_message any_target";
const LAST: i64 = 253_402_300_799_999;

fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn named(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn list(of: Value) -> Value {
    json!({"type": "array", "items": of})
}

fn or_null(mut of: Value) -> Value {
    of["type"] = json!([of["type"], "null"]);
    of
}

fn flag(description: &str) -> Value {
    json!({"type": "boolean", "default": false, "description": description})
}

fn whole(least: i64, most: i64, default: Option<i64>, description: &str) -> Value {
    let mut schema = json!({"type": "integer", "minimum": least, "maximum": most, "description": description});
    if let Some(default) = default {
        schema["default"] = json!(default);
    }
    schema
}

/// An object that takes no other members.
fn object(required: &[&str], members: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> = members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
}

/// What every question has.
fn question(required: &[&str], members: &[(&str, Value)]) -> Value {
    let common = [
        ("project", text("Id of the project. One that the reader may not see does not exist.")),
        ("from", whole(0, LAST, None, "Start, ms since the Unix epoch, inclusive.")),
        ("to", whole(0, LAST, None, "End, ms since the Unix epoch, exclusive: after `from`, at most 400 days later.")),
        ("filters", filters()),
    ];
    let required: Vec<&str> = ["project", "from", "to"].iter().chain(required).copied().collect();
    object(&required, &[&common, members].concat())
}

fn filters() -> Value {
    let mut filters = list(named("Filter"));
    filters["maxItems"] = json!(20);
    filters
}

fn kinds() -> Value {
    list(named("Kind"))
}

fn exact() -> (&'static str, Value) {
    ("exact", flag("Reads every event instead of a sample or a rollup."))
}

fn schemas() -> Value {
    let field = json!({"description": "What events are filtered and grouped by.", "anyOf": [
        {"type": "string", "enum": words(FIELDS)}, {"type": "string", "pattern": "^(attributes|tags)\\.[\\s\\S]{1,200}$"}]});
    let measure = json!({"description": "What is computed.", "anyOf": [
        {"type": "string", "enum": words(MEASURES)}, {"type": "string", "pattern": "^count:[a-z0-9_-]{1,64}$"}, {"type": "string", "pattern": "^apdex:[1-9][0-9]{0,8}$"}]});
    let filter = json!({"description": "A condition on a field.", "oneOf": [
        object(&["field", "op", "values"], &[("field", named("Field")), ("op", json!({"type": "string", "enum": ["in", "not_in"]})),
            ("values", json!({"type": "array", "items": {"type": "string", "maxLength": 4096}, "minItems": 1, "maxItems": MAX_VALUES}))]),
        object(&["field", "op", "values"], &[("field", named("Field")), ("op", json!({"type": "string", "enum": ["contains"]})),
            ("values", json!({"type": "array", "items": {"type": "string", "maxLength": 4096}, "minItems": 1, "maxItems": 1}))]),
    ]});
    let measures = json!({"type": "array", "items": named("Measure"), "minItems": 1, "maxItems": 40, "uniqueItems": true});
    let limit = |default| whole(1, i64::from(MAX_LIMIT), Some(default), "Most rows or events of the answer.");
    let happening = |more: &[(&str, Value)]| object(&[], &[&[("kinds", kinds()), ("filters", filters())], more].concat());
    let order = |words: &[&str]| json!({"type": "string", "enum": words, "default": words[0]});
    let number = |description: &str| json!({"type": "number", "description": description});
    let integer = || json!({"type": "integer"});
    let role = || json!({"type": "string", "enum": ["viewer", "editor", "admin"]});
    json!({
        "Kind": {"type": "string", "pattern": "^[a-z0-9_-]{1,64}$", "description": "The family of an event; the set is open.", "examples": ["error", "vital", "page_view"]},
        "Field": field,
        "Measure": measure,
        "Filter": filter,
        "Query": question(&["measures"], &[
            ("kinds", kinds()),
            ("group_by", json!({"type": "array", "items": named("Field"), "maxItems": 10, "uniqueItems": true, "description": "One row per combination of values; at most 5 fields. With `facets` at most 10."})),
            ("step", or_null(json!({"type": "integer", "minimum": 1000, "description": "Width of time buckets, ms; at most 2,000 of them."}))),
            ("zone_offset", whole(-50_400_000, 50_400_000, Some(0), "Buckets begin at multiples of the step in a zone that is so much ahead of UTC, ms.")),
            ("measures", measures),
            ("order_by", json!({"anyOf": [named("OrderBy"), {"type": "null"}]})),
            ("limit", limit(1_000)),
            ("top", json!({"anyOf": [named("Top"), {"type": "null"}]})),
            ("totals", flag("Asks the same of the whole range, too: the groups without steps. Needs `step`.")),
            ("compare", flag("Asks the same of the period before, of the same length.")),
            ("facets", flag("Groups by each field of `group_by` on its own: in a row all but one of them are null. `limit` is that of each. Not with `step`, `top` or `compare`.")),
            ("sampling", json!({"type": "string", "enum": ["auto", "never"], "default": "auto", "description": "Whether a sample of the visitors may answer."})),
            exact(),
        ]),
        "OrderBy": object(&["column"], &[("column", text("A column of the answer.")), ("descending", flag("Largest first."))]),
        "Top": object(&["n", "by"], &[("n", whole(1, 100, None, "How many groups are kept.")), ("by", named("Measure")), ("others", flag("Whether all others are one more group."))]),
        "EventQuery": question(&[], &[
            ("kinds", kinds()),
            ("order", order(&["newest", "oldest"])),
            ("limit", limit(100)),
            ("cursor", or_null(json!({"type": "string", "pattern": "^[0-9]{1,15}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "description": "`next` of the page before."}))),
            ("fields", document_fields()),
        ]),
        "ExportQuery": question(&[], &[
            ("kinds", kinds()),
            ("order", order(&["newest", "oldest"])),
            ("limit", whole(1, 1_000_000, Some(1_000_000), "Most events.")),
            ("cursor", or_null(json!({"type": "string", "pattern": "^[0-9]{1,15}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "description": "Where an export before this one ended."}))),
            ("fields", document_fields()),
        ]),
        "FunnelQuery": question(&["steps"], &[
            ("steps", json!({"type": "array", "items": named("FunnelStep"), "minItems": 2, "maxItems": 10})),
            ("within", whole(1_000, 400 * 86_400_000, Some(86_400_000), "Longest time from the first step to the last, ms.")),
            ("by", order(&["visitor", "session"])),
            exact(),
        ]),
        "FunnelStep": happening(&[("label", json!({"type": "string", "maxLength": 200, "default": "", "description": "What it is called in the answer."}))]),
        "Happening": happening(&[]),
        "RetentionQuery": question(&[], &[("period", order(&["day", "week"])), ("first", named("Happening")), ("again", named("Happening")), exact()]),
        "PathQuery": question(&[], &[
            ("start", or_null(text("Begin at the first view of this route."))),
            ("depth", whole(1, 10, Some(4), "Passages followed.")),
            ("limit", whole(1, 100, Some(20), "Passages of each step that are told apart.")),
            exact(),
        ]),
        "SessionQuery": question(&[], &[
            ("order", order(&["newest", "errors", "longest"])),
            ("limit", limit(100)),
            ("offset", whole(0, i64::from(MAX_LIMIT), Some(0), "How many to pass over.")),
        ]),
        "IssueQuery": question(&[], &[
            ("status", list(named("IssueStatus"))),
            ("search", json!({"type": "string", "maxLength": 4096, "default": "", "description": "Only issues whose name or message contains it."})),
            ("order", order(&["count", "users", "last_seen", "first_seen"])),
            ("limit", limit(100)),
        ]),
        "IssueStatus": {"type": "string", "enum": ["open", "resolved", "regressed", "ignored"]},
        "IssueState": object(&["project", "fingerprint", "status"], &[
            ("project", text("Id of the project.")),
            ("fingerprint", json!({"type": "string", "minLength": 1, "maxLength": 200, "description": "The issue."})),
            ("status", json!({"type": "string", "enum": ["open", "resolved", "ignored"]})),
        ]),
        "Cell": {"description": "A number, a text, null, or for `histogram` and `spark` an array.", "anyOf": [
            {"type": "number"}, {"type": "string"}, {"type": "null"}, {"type": "array"}]},
        "Table": object(&["columns", "rows", "stats"], &[
            ("columns", list(json!({"type": "string"}))),
            ("rows", list(list(named("Cell")))),
            ("totals", list(list(named("Cell")))),
            ("previous", list(list(named("Cell")))),
            ("previous_totals", list(list(named("Cell")))),
            ("stats", named("Stats")),
        ]),
        "Stats": object(&["elapsed_ms", "rows_read", "source", "sample", "error"], &[
            ("elapsed_ms", number("Time from question to answer, ms.")),
            ("rows_read", integer()),
            ("source", json!({"type": "string", "enum": ["events", "rollup"]})),
            ("sample", number("Share of the visitors whose events were read, 0 to 1.")),
            ("error", number("Largest relative error to expect; 0 is exact.")),
        ]),
        "EventPage": object(&["events", "next", "stats"], &[("events", list(named("Document"))), ("next", json!({"type": ["string", "null"]})), ("stats", named("Stats"))]),
        "Document": document_schema(),
        "Projects": object(&["projects"], &[("projects", list(object(&["id", "name", "dsn", "key", "role"], &[
            ("id", text("Id.")), ("name", text("For people.")), ("dsn", text("What pages are configured with.")), ("key", text("Public key.")), ("role", role())])))]),
        "Me": object(&["name", "everywhere", "projects", "expires", "can_log_out"], &[
            ("name", text("Who the reader is.")),
            ("everywhere", json!({"type": ["string", "null"], "enum": ["viewer", "editor", "admin", null], "description": "The role in every project."})),
            ("projects", list(object(&["id", "name", "role"], &[("id", text("Id.")), ("name", text("For people.")), ("role", role())]))),
            ("expires", or_null(json!({"type": "integer", "description": "End of the session or the token, ms."}))),
            ("can_log_out", json!({"type": "boolean"})),
        ]),
        "LoginWays": object(&["password", "token"], &[("password", json!({"type": "boolean"})), ("token", json!({"type": "boolean"}))]),
        "Login": {"oneOf": [
            object(&["user", "password"], &[("user", text("Name.")), ("password", text("Password."))]),
            object(&["token"], &[("token", text("An API token."))]),
        ]},
        "System": object(&["version", "started", "uptime_seconds", "ready", "store_available", "process"], &[
            ("version", text("Version of the service.")),
            ("started", integer()),
            ("uptime_seconds", number("Time since the start.")),
            ("ready", json!({"type": "boolean", "description": "Whether events are taken and the host's other parts run: what /readyz says."})),
            ("store_available", json!({"type": "boolean"})),
            ("process", json!({"anyOf": [named("Process"), {"type": "null"}], "description": "null for those who may not see every project."})),
        ]),
        "Process": object(&["rates", "spool", "consumer_lag", "drops", "live_viewers", "metrics"], &[
            ("rates", object(&["over_seconds", "per_second"], &[
                ("over_seconds", number("What they are means of.")), ("per_second", json!({"type": "object", "additionalProperties": {"type": "number"}}))])),
            ("spool", object(&["bytes", "lanes"], &[("bytes", integer()), ("lanes", json!({"type": "object", "additionalProperties":
                object(&["events", "age_ms", "dead_letters", "delivered", "retried"], &[("events", integer()), ("age_ms", integer()),
                    ("dead_letters", integer()), ("delivered", integer()), ("retried", integer())])}))])),
            ("consumer_lag", json!({"type": "object", "additionalProperties": {"type": "integer"}})),
            ("drops", list(object(&["what", "reason", "count"], &[("what", text("A number of /metrics.")), ("reason", text("Its label.")), ("count", integer())]))),
            ("live_viewers", integer()),
            ("metrics", list(object(&["name", "value"], &[("name", text("As in /metrics.")), ("label", text("Its label.")), ("value", integer())]))),
        ]),
        "Error": object(&["error"], &[("error", object(&["code", "message"], &[("code", text("A stable word.")), ("message", text("For people."))]))]),
    })
}

/// A document has members that came later than a client: others are allowed.
fn document_schema() -> Value {
    let Value::Object(sample) = serde_json::to_value(sample_document()).unwrap() else { panic!() };
    let schema = |name: &str, value: &Value| match (name, value) {
        ("value", _) => json!({"type": ["number", "null"]}),
        ("seq", _) => json!({"type": ["integer", "null"]}),
        ("data", _) => json!({"description": "What only this kind has."}),
        (_, Value::String(_)) => json!({"type": "string"}),
        (_, Value::Object(_)) => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        (_, Value::Array(_)) => {
            json!({"type": "array", "items": {"type": "object"}, "description": "Errors, with their stacks in frames."})
        }
        _ if value.is_i64() || value.is_u64() => json!({"type": "integer"}),
        _ => json!({"type": "number"}),
    };
    let properties: Map<String, Value> = sample.iter().map(|(name, value)| (name.clone(), schema(name, value))).collect();
    json!({"type": "object", "required": ["id", "time"], "properties": properties,
        "description": "One event, flat. Unknown text is empty. Without `fields` all are there, but for `weight` when it is 1 and `exceptions` of what is no error."})
}

fn document_fields() -> Value {
    json!({"type": "array", "items": {"type": "string", "enum": Document::FIELDS}, "maxItems": Document::FIELDS.len(), "default": [],
        "description": "Only these fields of each event, beside its `id` and `time`; all when there are none."})
}

/// A document with every member.
fn sample_document() -> Document {
    let mut event = Event::new(EventId(1), 5, Kind::Error, "TypeError");
    event.weight = 2.5;
    event.data =
        serde_json::value::to_raw_value(&json!({"message": "m", "stack": "TypeError: m\n at a (https://shop.example/a.js:1:2)"})).unwrap();
    let mut document = Document::new(&Origin::new("shop", 6), &event);
    document.read_exceptions();
    document
}

fn answer(description: &str, content: Value) -> Value {
    json!({"description": description, "content": content})
}

fn in_json(schema: Value) -> Value {
    json!({"application/json": {"schema": schema}})
}

/// The refusals that a route can have, by status.
fn refusals(statuses: &[&str]) -> Map<String, Value> {
    let says = |status: &str| match status {
        "400" => {
            "The question is wrong: `bad_query`, with what is wrong; a malformed request: `bad_host`, `bad_length`, `client_abort`, `bad_upgrade`."
        }
        "401" => "Nobody known: `unauthorized`, `login_refused`.",
        "403" => "Another site's page asks: `cross_site`, `unknown_host`. The role is too small: `forbidden`.",
        "404" => "No such project for this reader: `not_found`. Nobody can log in here: `no_login`.",
        "405" => "Another method: `method_not_allowed`.",
        "408" => "The body came too slowly: `too_slow`.",
        "413" => "The question is larger than 256 KiB, or the login than 8 KiB: `too_large`.",
        "414" => "The address is too long: `uri_too_long`.",
        "415" => "A page sent something else than JSON: `unsupported_media_type`.",
        "422" => "It would read or return too much: `too_expensive`.",
        "426" => "Not a WebSocket: `upgrade_required`.",
        "429" => "Too many attempts: `rate_limited`. `Retry-After` says when.",
        "431" => "Too many or too long headers: `head_too_large`.",
        "500" => "`store_failed`, `internal`.",
        "503" => "`unavailable`, `overloaded`, `shutting_down`, `too_many_viewers`, `too_many_exports`. `Retry-After` says when.",
        other => panic!("{other}"),
    };
    statuses.iter().map(|status| ((*status).to_owned(), answer(says(status), in_json(named("Error"))))).collect()
}

/// What can go wrong with any request.
const ALWAYS: [&str; 7] = ["400", "403", "405", "414", "431", "500", "503"];
/// And with a body.
const WITH_BODY: [&str; 3] = ["408", "413", "415"];

fn operation(id: &str, summary: &str, success: (&str, Value), body: Option<&str>, others: &[&str], is_open: bool) -> Value {
    let mut responses = refusals(&ALWAYS);
    responses.extend(refusals(others));
    if body.is_some() {
        responses.extend(refusals(&WITH_BODY));
    }
    if !is_open {
        responses.extend(refusals(&["401"]));
    }
    responses.insert(success.0.to_owned(), success.1);
    let mut operation = json!({"operationId": id, "summary": summary, "responses": responses});
    if let Some(schema) = body {
        operation["requestBody"] = json!({"required": true, "content": in_json(named(schema))});
    }
    if is_open {
        operation["security"] = json!([]);
    }
    operation
}

fn table_or_events(schema: &str, what: &str) -> Value {
    let mut answer = answer(
        what,
        json!({
            "application/json": {"schema": named(schema)},
            "text/csv": {"schema": {"type": "string"}},
            "application/x-ndjson": {"schema": {"type": "string"}},
        }),
    );
    answer["headers"] = json!({
        "X-Monitor-Stats": {"description": "`stats` of CSV and NDJSON, as JSON.", "schema": {"type": "string"}},
        "X-Monitor-Next": {"description": "`next` of CSV and NDJSON.", "schema": {"type": "string"}},
    });
    answer
}

fn paths() -> Value {
    const ASKED: &[&str] = &["404", "422"];
    let asked = |id, summary, schema| operation(id, summary, ("200", table_or_events("Table", "A table.")), Some(schema), ASKED, false);
    let got = |id, summary, schema| operation(id, summary, ("200", answer("The answer.", in_json(named(schema)))), None, &[], false);
    let nothing = || json!({"description": "Done."});
    let mut live = operation(
        "live",
        "Events as they come: server-sent events.",
        ("200", answer("A stream.", json!({"text/event-stream": {"schema": {"type": "string"}}}))),
        None,
        &["404"],
        false,
    );
    live["parameters"] = json!([
        {"name": "project", "in": "query", "required": true, "schema": {"type": "string"}},
        {"name": "kinds", "in": "query", "description": "With commas between them.", "schema": {"type": "string", "pattern": "^[a-z0-9_-]{1,64}(,[a-z0-9_-]{1,64})*$"}},
        {"name": "filters", "in": "query", "description": "As in a question.", "content": in_json(filters())},
    ]);
    let mut log_in = operation(
        "logIn",
        "Begins a session.",
        ("200", answer("Who one is now.", in_json(named("Me")))),
        Some("Login"),
        &["401", "404", "429"],
        true,
    );
    log_in["responses"]["200"]["headers"] = json!({"Set-Cookie": {"description": "The session.", "schema": {"type": "string"}}});
    with_examples(json!({
        "/query": {"post": asked("query", "Figures, by time and by groups.", "Query")},
        "/query/events": {"post": operation("events", "Whole events, page by page.", ("200", table_or_events("EventPage", "A page.")), Some("EventQuery"), ASKED, false)},
        "/query/events/export": {"post": operation("export", "Up to a million events, streamed; cut off when the store fails on the way.",
            ("200", answer("Events. NDJSON ends with `{\"end\":{…}}`.", json!({"application/x-ndjson": {"schema": {"type": "string"}}, "text/csv": {"schema": {"type": "string"}}}))),
            Some("ExportQuery"), ASKED, false)},
        "/query/funnel": {"post": asked("funnel", "How many get from step to step.", "FunnelQuery")},
        "/query/retention": {"post": asked("retention", "How many come again.", "RetentionQuery")},
        "/query/paths": {"post": asked("paths", "Which page follows which.", "PathQuery")},
        "/query/sessions": {"post": asked("sessions", "A list of sessions.", "SessionQuery")},
        "/query/issues": {"post": asked("issues", "A list of issues.", "IssueQuery")},
        "/query/issues/state": {"post": operation("setIssue", "Keeps what was decided about an issue.", ("204", nothing()), Some("IssueState"), ASKED, false)},
        "/query/projects": {"get": got("projects", "The projects that the reader may see.", "Projects")},
        "/query/storage": {"get": operation("storage", "What is stored.", ("200", table_or_events("Table", "A row for each table.")), None, &["422"], false)},
        "/query/system": {"get": got("system", "How the process is doing.", "System")},
        "/query/me": {"get": got("me", "Who the reader is.", "Me")},
        "/live": {"get": live},
        "/live/ws": {"get": operation("panels", "Events and figures over a WebSocket, see docs/query-api.md.", ("101", json!({"description": "A WebSocket."})), None, &["426"], false)},
        "/login": {
            "get": operation("loginWays", "How one can log in.", ("200", answer("The answer.", in_json(named("LoginWays")))), None, &[], true),
            "post": log_in,
        },
        "/logout": {"post": operation("logOut", "Ends the session.", ("204", nothing()), None, &["413"], true)},
        "/openapi.json": {"get": operation("description", "This description.", ("200", answer("OpenAPI.", in_json(json!({"type": "object"})))), None, &[], true)},
    }))
}

/// What somebody would ask: of a day, by hours.
fn example(path: &str) -> Value {
    let mut question = json!({"project": "shop", "from": 1_732_060_800_000_i64, "to": 1_732_147_200_000_i64});
    let more = match path {
        "/login" => return json!({"user": "anna", "password": "correct horse"}),
        "/query/issues/state" => return json!({"project": "shop", "fingerprint": "5f0c5a7f2d1e4b3a", "status": "resolved"}),
        "/query" => json!({"kinds": ["vital"], "filters": [{"field": "name", "op": "in", "values": ["LCP"]}], "group_by": ["route"],
            "step": 3_600_000, "measures": ["count", "p75"], "order_by": {"column": "count", "descending": true}, "limit": 100}),
        "/query/funnel" => json!({"steps": [{"label": "Cart", "kinds": ["page_view"],
            "filters": [{"field": "route", "op": "in", "values": ["/shop/cart"]}]}, {"label": "Paid", "kinds": ["track"]}], "within": 3_600_000}),
        "/query/retention" => json!({"period": "day", "first": {"kinds": ["page_view"]}, "again": {"kinds": ["track"]}}),
        "/query/paths" => json!({"start": "/shop/", "depth": 3}),
        "/query/sessions" => json!({"order": "errors", "limit": 20}),
        "/query/issues" => json!({"status": ["open", "regressed"], "search": "TypeError", "order": "users"}),
        "/query/events" | "/query/events/export" => json!({"kinds": ["error"], "order": "newest", "limit": 50}),
        other => panic!("{other} has no example"),
    };
    question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    question
}

fn with_examples(mut paths: Value) -> Value {
    for (path, methods) in paths.as_object_mut().unwrap() {
        if let Some(body) = methods.pointer_mut("/post/requestBody/content/application~1json") {
            body["example"] = example(path);
        }
    }
    paths
}

fn description() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Monitor Kit",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Questions about what happens in visitors' browsers. Times are ms since the Unix epoch.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "Or wherever the host mounted it."}],
        "security": [{"token": []}, {"session": []}],
        "paths": paths(),
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "monitor_session"},
            },
            "schemas": schemas(),
        },
    })
}

#[test]
fn the_description_is_up_to_date_and_served() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let made = serde_json::to_string_pretty(&description()).unwrap() + "\n";
    if std::env::var_os("MONITOR_WRITE").is_some() {
        std::fs::write(file, &made).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), made, "run again with MONITOR_WRITE=1 in the environment");
    let scene = scene_with(vec![], None, |builder| builder.config(quick().0));
    let server = serve(scene.service.clone(), quick().1);
    let served = server.ask(get("/openapi.json", &[]));
    assert_eq!((served.status, served.header("content-type")), (200, Some("application/json")));
    if std::env::var_os("MONITOR_WRITE").is_none() {
        assert_eq!(served.text(), made);
    }
}

/// The members that a schema has, and those of the type when all are written.
fn assert_members<T: DeserializeOwned + Serialize>(schema: &str, example: Value) {
    let schemas = schemas();
    let typed: T = serde_json::from_value(example).unwrap();
    let Value::Object(written) = serde_json::to_value(typed).unwrap() else { panic!("{schema}") };
    let properties: BTreeSet<&String> = schemas[schema]["properties"].as_object().unwrap().keys().collect();
    assert_eq!(properties, written.keys().collect(), "{schema}");
    // What the type has a default for is what the schema calls optional, and the defaults are the same.
    let required: BTreeSet<&str> = schemas[schema]["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for (name, property) in schemas[schema]["properties"].as_object().unwrap() {
        if let Some(default) = property.get("default") {
            assert_eq!(&written[name], default, "{schema}.{name}");
        }
        let mut without = written.clone();
        without.remove(name);
        assert_eq!(serde_json::from_value::<T>(Value::Object(without)).is_err(), required.contains(name.as_str()), "{schema}.{name}");
    }
}

#[test]
fn schemas_have_the_members_of_the_types() {
    let asked = |more: Value| {
        let mut question = json!({"project": "p", "from": 0, "to": 1});
        question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        question
    };
    assert_members::<Query>("Query", asked(json!({"measures": ["count"]})));
    assert_members::<EventQuery>("EventQuery", asked(json!({})));
    assert_members::<FunnelQuery>("FunnelQuery", asked(json!({"steps": []})));
    assert_members::<FunnelStep>("FunnelStep", json!({}));
    assert_members::<Happening>("Happening", json!({}));
    assert_members::<RetentionQuery>("RetentionQuery", asked(json!({})));
    assert_members::<PathQuery>("PathQuery", asked(json!({})));
    assert_members::<SessionQuery>("SessionQuery", asked(json!({})));
    assert_members::<IssueQuery>("IssueQuery", asked(json!({})));
    assert_members::<IssueState>("IssueState", json!({"project": "p", "fingerprint": "f", "status": "open"}));
    assert_members::<Top>("Top", json!({"n": 1, "by": "count"}));
    assert_members::<OrderBy>("OrderBy", json!({"column": "count"}));
    let filter = schemas()["Filter"]["oneOf"][0]["properties"].clone();
    let typed: Filter = serde_json::from_value(json!({"field": "name", "op": "in", "values": []})).unwrap();
    assert_eq!(
        filter.as_object().unwrap().keys().collect::<Vec<_>>(),
        serde_json::to_value(typed).unwrap().as_object().unwrap().keys().collect::<Vec<_>>()
    );
    let stats = serde_json::to_value(Stats::default()).unwrap();
    assert_eq!(
        schemas()["Stats"]["properties"].as_object().unwrap().keys().collect::<Vec<_>>(),
        stats.as_object().unwrap().keys().collect::<Vec<_>>()
    );
    let rows = Some(vec![]);
    let table = Table { totals: rows.clone(), previous: rows.clone(), previous_totals: rows, ..Table::default() };
    let table = serde_json::to_value(table).unwrap();
    assert_eq!(
        schemas()["Table"]["properties"].as_object().unwrap().keys().collect::<Vec<_>>(),
        table.as_object().unwrap().keys().collect::<Vec<_>>()
    );
}

#[test]
fn every_word_of_the_schemas_is_known() {
    for word in words(FIELDS) {
        assert!(!matches!(word.parse::<Field>().unwrap(), Field::Attribute(_) | Field::Tag(_)), "{word}");
    }
    for word in words(MEASURES) {
        assert!(!matches!(word.parse::<Measure>().unwrap(), Measure::CountKind(_) | Measure::Apdex(_)), "{word}");
    }
    for role in schemas()["Me"]["properties"]["everywhere"]["enum"].as_array().unwrap() {
        assert!(role.is_null() || role.as_str().unwrap().parse::<Role>().is_ok());
    }
}

/// Whether a value is of a schema's types, as far down as the schema says something. Enough for our own answers.
fn assert_fits(value: &Value, schema: &Value, schemas: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        return assert_fits(value, &schemas[name.rsplit('/').next().unwrap()], schemas, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let fits = |schema: &Value| std::panic::catch_unwind(|| assert_fits(value, schema, schemas, at)).is_ok();
        return assert!(any.iter().any(fits), "{at}: {value}");
    }
    let is = |wanted: &str| match wanted {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        _ => value.is_object(),
    };
    match &schema["type"] {
        Value::String(wanted) => assert!(is(wanted), "{at} is {value}, not {wanted}"),
        Value::Array(wanted) => assert!(wanted.iter().any(|wanted| is(wanted.as_str().unwrap())), "{at} is {value}"),
        _ => {}
    }
    for item in value.as_array().into_iter().flatten() {
        assert_fits(item, &schema["items"], schemas, &format!("{at}[]"));
    }
    let Some(members) = value.as_object() else { return };
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(members.contains_key(required.as_str().unwrap()), "{at} has no {required}");
    }
    for (name, member) in members {
        let property = schema["properties"].get(name).or(schema.get("additionalProperties").filter(|more| more.is_object()));
        let may_have_others = schema.get("additionalProperties") != Some(&json!(false));
        assert!(property.is_some() || may_have_others, "{at} has {name}, which is not described");
        if let Some(property) = property {
            assert_fits(member, property, schemas, &format!("{at}.{name}"));
        }
    }
}

#[test]
fn answers_are_as_described() {
    let store = std::sync::Arc::new(Recorder::with_events(2));
    let scene = scene_with(vec![], None, |builder| builder.store(store).access(access::token("secret")).config(quick().0));
    let server = serve(scene.service.clone(), quick().1);
    let token = "Authorization: Bearer secret";
    let description = description();
    let mut seen = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Some(schema) = operation["responses"]["200"]["content"].get("application/json") else { continue };
            let answer = match (method.as_str(), path.as_str()) {
                ("get", _) => server.ask(get(path, &[token])),
                (_, "/login") => server.ask(post_json(path, &[], &json!({"token": "secret"}))),
                _ => server.ask(post_json(path, &[token], &common::store::question(path, "shop"))),
            };
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_fits(&answer.json(), &schema["schema"], &description["components"]["schemas"], path);
            seen += 1;
            let refused = server.ask(if method == "get" { get(path, &["Host: a", token]) } else { post_json(path, &[token], &json!([])) });
            assert_eq!(refused.status, 400);
            assert_fits(&refused.json(), &named("Error"), &description["components"]["schemas"], path);
        }
    }
    assert_eq!(seen, 14);
    for path in description["paths"].as_object().unwrap().keys() {
        let Some(example) =
            description.pointer(&format!("/paths/{}/post/requestBody/content/application~1json/example", path.replace('/', "~1")))
        else {
            continue;
        };
        let answer = server.ask(post_json(path, &[token], example));
        // Nobody has that password here.
        let expected = if path == "/login" { "login_refused" } else { "" };
        assert_eq!(answer.code(), expected, "{path}: {}", answer.text());
    }
}
