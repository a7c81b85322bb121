//! Replays the bad-input corpus of `tests/corpus` over raw sockets. Each file holds what is sent and what must come of it; after each one a good
//! request must be accepted, and nothing but what the file says may have reached the transport.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that finds something else than it expects fails"
)]

mod common;

use std::{
    fs,
    io::Write,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use common::{EVENTS, Response, Running, Scene, envelope, post, quick, scene, serve};
use flate2::{Compression, write::GzEncoder};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What this shows.
    claim: String,
    #[serde(default)]
    send: Send,
    expect: Expect,
}

/// What is sent: `raw`, or a head and a body.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Send {
    /// Exactly these bytes: each character is one byte.
    raw: Option<String>,
    /// Lines of the head, without line ends.
    head: Option<Vec<String>>,
    body: Option<String>,
    body_base64: Option<String>,
    /// A body, a part of the body (where it says `{}`) or a head line too large to be written down.
    generate: Option<Generate>,
    /// How the body is compressed after all this.
    compress: Option<String>,
    /// Flips a bit of the byte at this place from the end of the body; cuts or adds bytes there.
    flip_from_end: Option<usize>,
    cut: Option<usize>,
    add: Option<String>,
    /// `false`: the head says it itself.
    length: Option<bool>,
    /// Sent byte by byte with this pause, ms: `head` or `body`.
    drip: Option<String>,
    #[serde(default)]
    pause: u64,
    #[serde(default)]
    close_write: bool,
    /// Sent so often without reading.
    repeat: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Generate {
    what: String,
    #[serde(default)]
    n: usize,
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    /// Any of these; none: the connection ends without an answer.
    status: Vec<u16>,
    code: Option<String>,
    #[serde(default)]
    accepted: usize,
    /// Position and code of each rejected event.
    #[serde(default)]
    rejected: Vec<(u64, String)>,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    no_headers: Vec<String>,
    /// The connection ends after the answer, within this time, ms.
    closes_within: Option<u64>,
    /// The answer is there within this time, ms.
    answers_within: Option<u64>,
    /// No `100 Continue` before the answer.
    #[serde(default)]
    no_continue: bool,
    /// Most bytes that the process may grow by, MiB.
    memory: Option<u64>,
    /// Texts that the stored events contain, as JSON.
    #[serde(default)]
    stored: Vec<String>,
    #[serde(default)]
    not_stored: Vec<String>,
}

fn generate(generate: &Generate) -> String {
    let Generate { what, n, text } = generate;
    match what.as_str() {
        "repeat" => text.repeat(*n),
        "events" => vec![r#"{"kind":"click","name":"n"}"#; *n].join(","),
        "deep" => format!("{}{}", "[".repeat(*n), "]".repeat(*n)),
        "headers" => (0..*n).map(|n| format!("X-{n}: v")).collect::<Vec<_>>().join("\r\n"),
        other => panic!("cannot generate {other}"),
    }
}

/// Members of 16 MiB of zeros each: small enough to make, as large together as wanted.
fn gzip_bomb(members: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&vec![b' '; 16 * 1024 * 1024]).unwrap();
    encoder.finish().unwrap().repeat(members)
}

fn zstd_bomb(bytes: usize) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..bytes / 65_536 {
        encoder.write_all(&[b' '; 65_536]).unwrap();
    }
    encoder.finish().unwrap()
}

fn compress(how: &str, body: &[u8]) -> Vec<u8> {
    match how {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "zlib" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::encode_all(body, 3).unwrap(),
        other => panic!("cannot compress with {other}"),
    }
}

impl Send {
    /// Head and body as they go over the wire.
    fn bytes(&self) -> (Vec<u8>, Vec<u8>) {
        let generated = |text: &str| match &self.generate {
            Some(what) if text.contains("{}") => text.replace("{}", &generate(what)),
            _ => text.to_owned(),
        };
        if let Some(raw) = &self.raw {
            let bytes = generated(raw).chars().map(|c| u8::try_from(u32::from(c)).expect("one byte per character")).collect();
            return (bytes, Vec::new());
        }
        let mut body = match (&self.body, &self.body_base64, &self.generate) {
            (Some(body), ..) => generated(body).into_bytes(),
            (None, Some(base64), _) => STANDARD.decode(base64).unwrap(),
            (None, None, Some(Generate { what, n, .. })) if what == "gzip_bomb" => gzip_bomb(*n),
            (None, None, Some(Generate { what, n, .. })) if what == "zstd_bomb" => zstd_bomb(*n),
            _ => Vec::new(),
        };
        if let Some(how) = &self.compress {
            for how in how.split(',') {
                body = compress(how, &body);
            }
        }
        if let Some(at) = self.flip_from_end {
            let at = body.len() - at;
            body[at] ^= 1;
        }
        body.truncate(body.len() - self.cut.unwrap_or(0));
        body.extend_from_slice(self.add.as_deref().unwrap_or_default().as_bytes());
        let mut lines: Vec<String> = self.head.iter().flatten().map(|line| generated(line)).collect();
        if self.length.unwrap_or(!body.is_empty()) {
            lines.push(format!("Content-Length: {}", body.len()));
        }
        ((lines.join("\r\n") + "\r\n\r\n").into_bytes(), body)
    }
}

/// Peak memory of this process since the last reset, and memory now, KiB.
fn memory() -> Option<(u64, u64)> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some((field("VmHWM:")?, field("VmRSS:")?))
}

fn run(case: &Case, server: &Running, scene: &Scene) -> Result<(), String> {
    let Case { send, expect, .. } = case;
    let (head, body) = send.bytes();
    let before = scene.transport.events().len();
    // Resets the peak; where the kernel does not allow it the old peak stays and the test only becomes stricter.
    let _reset = fs::write("/proc/self/clear_refs", "5");
    let memory_before = memory();

    let mut client = server.connect();
    let start = Instant::now();
    for _ in 0..send.repeat.unwrap_or(1) {
        for (part, bytes) in [("head", &head), ("body", &body)] {
            if send.drip.as_deref() == Some(part) {
                for byte in bytes {
                    if !client.send(&[*byte]) {
                        break;
                    }
                    sleep(Duration::from_millis(send.pause));
                }
            } else if !client.send(bytes) {
                break;
            }
        }
    }
    if send.close_write {
        client.close_write();
    }

    let response = if send.repeat.is_some() { None } else { client.response() };
    let took = start.elapsed();
    check_response(expect, response.as_ref())?;
    if let Some(within) = expect.answers_within
        && took > Duration::from_millis(within)
    {
        return Err(format!("answered after {took:?}"));
    }
    if expect.no_continue && client.saw_continue() {
        return Err("sent 100 Continue".into());
    }
    if let Some(within) = expect.closes_within {
        let left = Duration::from_millis(within).saturating_sub(start.elapsed()).max(Duration::from_millis(50));
        let rest = client.text_within(left);
        if !client.closed {
            return Err(format!("still open after {:?}", start.elapsed()));
        }
        if send.repeat.is_none() && rest.contains("HTTP/1.1") {
            return Err(format!("a second answer: {rest}"));
        }
    }
    if let (Some(most), Some((_, before)), Some((peak, _))) = (expect.memory, memory_before, memory())
        && peak.saturating_sub(before) > most * 1024
    {
        return Err(format!("memory grew by {} KiB", peak.saturating_sub(before)));
    }

    let good = server.ask(post(EVENTS, &[], envelope(&["good request"]).as_bytes()));
    if good.status != 202 {
        return Err(format!("the good request after it got {} {}", good.status, good.text()));
    }
    let events = scene.transport.events();
    if send.repeat.is_none() && events.len() != before + expect.accepted + 1 {
        return Err(format!("{} events reached the transport, expected {}", events.len() - before - 1, expect.accepted));
    }
    let stored = serde_json::to_string(&events[before..]).unwrap();
    if let Some(text) = expect.stored.iter().find(|text| !stored.contains(*text)) {
        return Err(format!("{text:?} is not in {stored}"));
    }
    if let Some(text) = expect.not_stored.iter().find(|text| stored.contains(*text)) {
        return Err(format!("{text:?} is in {stored}"));
    }
    Ok(())
}

fn check_response(expect: &Expect, response: Option<&Response>) -> Result<(), String> {
    let Some(response) = response else {
        return if expect.status.is_empty() { Ok(()) } else { Err("no answer".into()) };
    };
    let shown = format!("{} {}", response.status, response.text());
    if !expect.status.contains(&response.status) {
        return Err(format!("answered {shown}"));
    }
    if let Some(code) = &expect.code
        && response.code() != *code
    {
        return Err(format!("answered {shown}"));
    }
    let json = response.json();
    if response.status == 202 && response.header("content-type") == Some("application/json") {
        let rejected: Vec<(u64, String)> = json["rejected"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|rejection| (rejection["index"].as_u64().unwrap(), rejection["code"].as_str().unwrap().to_owned()))
            .collect();
        if json["accepted"] != expect.accepted || rejected != expect.rejected {
            return Err(format!("answered {shown}"));
        }
    }
    for (name, value) in &expect.headers {
        if response.header(name) != Some(value) {
            return Err(format!("header {name} is {:?}", response.header(name)));
        }
    }
    // No answer names its maker or gives credentials to another site.
    let never = ["server", "x-powered-by", "access-control-allow-credentials"].map(str::to_owned);
    match expect.no_headers.iter().chain(&never).find(|name| response.header(name).is_some()) {
        Some(name) => Err(format!("header {name} is there")),
        None => Ok(()),
    }
}

#[test]
fn every_bad_input_is_answered_as_written_and_leaves_no_trace() {
    let (config, server_config) = quick();
    let scene = scene(config);
    let server = serve(scene.service.clone(), server_config);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(files.len() > 80, "only {} files", files.len());

    let only = std::env::var("CORPUS").unwrap_or_default();
    let mut failures = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        if !name.contains(&only) {
            continue;
        }
        let case: Case = toml::from_str(&fs::read_to_string(&file).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Err(why) = run(&case, &server, &scene) {
            let why: String = why.chars().take(600).collect();
            failures.push(format!("{name} ({}): {why}", case.claim));
        }
    }
    assert!(failures.is_empty(), "{} failed\n{}", failures.len(), failures.join("\n"));
    assert!(server.join());
}
