//! Embeds the built dashboard and the browser script, as far as they are there: `assets/dashboard/**` and `assets/sdk/monitor.js`.
//! `make assets` puts them there. Without them the crate compiles all the same and serves a page that says so.

use std::{
    collections::hash_map::DefaultHasher,
    env,
    error::Error,
    fmt::Write as _,
    fs,
    hash::Hasher,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

/// The dashboard's URLs are relative, so its address must end in a slash. Not every host can redirect to that (a router that strips
/// the mount path hides whether there was one), so the page itself does. The service sends the script's hash in its content security policy.
const SLASH: &str = include_str!("src/slash.js");

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=assets");
    println!("cargo::rerun-if-changed=src/slash.js");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("assets");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut files = Vec::new();
    for folder in ["dashboard", "sdk"] {
        find(&root.join(folder), &mut files)?;
    }
    files.sort();

    let mut table = String::from("pub(crate) static ASSETS: &[Asset] = &[\n");
    for (n, file) in files.iter().enumerate() {
        let path = file.strip_prefix(&root)?.to_str().ok_or("an asset's name is not UTF-8")?.replace('\\', "/");
        let mut bytes = fs::read(file)?;
        if path == "dashboard/index.html" {
            bytes = String::from_utf8(bytes)?.replacen("<head>", &format!("<head><script>{}</script>", SLASH.trim()), 1).into_bytes();
        }
        let plain = out.join(format!("{n}.bin"));
        fs::write(&plain, &bytes)?;
        let zipped = out.join(format!("{n}.gz"));
        let gzip = gzip(&bytes)?;
        let is_smaller = gzip.len() < bytes.len() * 9 / 10;
        fs::write(&zipped, &gzip)?;
        let zipped = if is_smaller { format!("Some(include_bytes!({zipped:?}))") } else { "None".into() };
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        writeln!(
            table,
            "Asset {{ path: {path:?}, etag: \"W/\\\"{:016x}\\\"\", bytes: include_bytes!({plain:?}), gzip: {zipped} }},",
            hasher.finish()
        )?;
    }
    table.push_str("];\n");
    fs::write(out.join("assets.rs"), table)?;
    Ok(())
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => find(&entry.path(), files)?,
            kind if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}
