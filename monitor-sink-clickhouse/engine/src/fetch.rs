//! Brings the engine library to this machine, once, and says where it is.
//!
//! The library comes in an npm package of its publisher and is fetched through the ordinary `npm` client, so that mirrors,
//! proxies and credentials of the machine apply. Version and checksum are pinned below; a package that differs is not
//! unpacked. The place is `<engine directory>/<version>/`, filled in a temporary directory beside it and renamed, so that
//! a library that is there is complete.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha512};

/// The pinned version of the engine.
pub(crate) const VERSION: &str = "26.7.3-stable.1";
/// Environment variable that names a library to use instead of the fetched one.
pub(crate) const LIBRARY: &str = "MONITOR_LIBCHDB";
/// Environment variable that names the directory the library is installed in.
pub(crate) const DIRECTORY: &str = "MONITOR_ENGINE_DIR";
/// Written after a library was verified; holds the checksum it was verified against.
const MARKER: &str = "verified";

/// A package with the library for one platform.
struct Package {
    os: &'static str,
    architecture: &'static str,
    name: &'static str,
    file: &'static str,
    /// Checksum of the packed package, as npm writes it.
    integrity: &'static str,
}

/// The platforms the publisher offers this version for.
const PACKAGES: &[Package] = &[Package {
    os: "linux",
    architecture: "x86_64",
    name: "@chdb/lib-linux-x64-gnu",
    file: "libchdb.so",
    integrity: "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==",
}];

/// Why there is no library.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// Nothing is published for this platform.
    #[error(
        "no engine library of version {VERSION} is published for {os}/{architecture}: build libchdb {VERSION} for it and set {LIBRARY}=/path/to/libchdb",
        os = std::env::consts::OS,
        architecture = std::env::consts::ARCH
    )]
    Platform,
    /// Neither a directory was given nor a home directory is known.
    #[error("no place to install the engine library: set {DIRECTORY} or HOME")]
    NoPlace,
    /// The library is not there.
    #[error("the engine library is missing at {}: run `monitor-engine fetch`, or set {LIBRARY}=/path/to/libchdb", .0.display())]
    Missing(PathBuf),
    /// `npm` could not be run.
    #[error("cannot run npm, which fetches the engine library")]
    Npm(#[source] io::Error),
    /// `npm pack` failed.
    #[error("npm pack {package} failed: {message}")]
    Pack {
        /// The package asked for.
        package: String,
        /// The last lines of npm's output.
        message: String,
    },
    /// What came is not what was pinned.
    #[error("the checksum of {package} does not match: {found} instead of {expected}")]
    Checksum {
        /// The package.
        package: &'static str,
        /// Checksum of what came.
        found: String,
        /// The pinned checksum.
        expected: &'static str,
    },
    /// The package has no library in it.
    #[error("the package {0} does not contain the library")]
    Empty(&'static str),
    /// A file could not be read or written.
    #[error("cannot read or write {}", .path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn package() -> Result<&'static Package, FetchError> {
    let here = (std::env::consts::OS, std::env::consts::ARCH);
    let glibc = here.0 != "linux" || cfg!(target_env = "gnu");
    PACKAGES.iter().find(|package| (package.os, package.architecture) == here && glibc).ok_or(FetchError::Platform)
}

/// The directory engines are installed in: `directory` if given, else `MONITOR_ENGINE_DIR`, else the user's cache.
fn directory(directory: Option<PathBuf>) -> Result<PathBuf, FetchError> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    directory
        .or_else(|| variable(DIRECTORY))
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("monitor-kit/engine")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/monitor-kit/engine")))
        .ok_or(FetchError::NoPlace)
}

/// The library to open: the one named by `MONITOR_LIBCHDB`, else the fetched one.
///
/// # Errors
/// Neither is there.
pub(crate) fn locate(chosen: Option<PathBuf>) -> Result<PathBuf, FetchError> {
    if let Some(path) = std::env::var_os(LIBRARY).filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return if path.is_file() { Ok(path) } else { Err(FetchError::Missing(path)) };
    }
    let package = package()?;
    let home = directory(chosen)?.join(VERSION);
    let library = home.join(package.file);
    if is_verified(&home, package) { Ok(library) } else { Err(FetchError::Missing(library)) }
}

fn is_verified(home: &Path, package: &Package) -> bool {
    let marker = fs::read_to_string(home.join(MARKER)).unwrap_or_default();
    marker.trim() == package.integrity && home.join(package.file).is_file()
}

/// Fetches the library unless it is there; gives its path. Several processes may do so at once.
///
/// # Errors
/// See [`FetchError`].
pub(crate) fn fetch(chosen: Option<PathBuf>) -> Result<PathBuf, FetchError> {
    let package = package()?;
    let engines = directory(chosen)?;
    let home = engines.join(VERSION);
    let library = home.join(package.file);
    if is_verified(&home, package) {
        return Ok(library);
    }
    let file_error = |path: &Path| {
        let path = path.to_path_buf();
        move |source| FetchError::File { path, source }
    };
    fs::create_dir_all(&engines).map_err(file_error(&engines))?;
    // One at a time: the second finds the library when it gets the lock.
    let lock_path = engines.join(format!("{VERSION}.lock"));
    let lock = File::create(&lock_path).map_err(file_error(&lock_path))?;
    lock.lock().map_err(file_error(&lock_path))?;
    if is_verified(&home, package) {
        return Ok(library);
    }
    let work = tempfile::Builder::new().prefix(".fetch-").tempdir_in(&engines).map_err(file_error(&engines))?;
    let packed = pack(package, work.path())?;
    let unpacked = work.path().join("unpacked");
    fs::create_dir(&unpacked).map_err(file_error(&unpacked))?;
    let found = integrity(&packed).map_err(file_error(&packed))?;
    if found != package.integrity {
        return Err(FetchError::Checksum { package: package.name, found, expected: package.integrity });
    }
    unpack(package, &packed, &unpacked).map_err(file_error(&unpacked))?;
    let new = unpacked.join(package.file);
    if !new.is_file() {
        return Err(FetchError::Empty(package.name));
    }
    File::open(&new).and_then(|file| file.sync_all()).map_err(file_error(&new))?;
    let marker = unpacked.join(MARKER);
    fs::write(&marker, package.integrity).map_err(file_error(&marker))?;
    if home.exists() {
        // Left over from another checksum, or without a marker.
        fs::remove_dir_all(&home).map_err(file_error(&home))?;
    }
    fs::rename(&unpacked, &home).map_err(file_error(&home))?;
    Ok(library)
}

/// Lets npm download the package into `work`.
fn pack(package: &Package, work: &Path) -> Result<PathBuf, FetchError> {
    let name = format!("{}@{VERSION}", package.name);
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(program).args(["pack", "--silent", &name]).current_dir(work).output().map_err(FetchError::Npm)?;
    let packed = fs::read_dir(work).ok().and_then(|entries| {
        entries.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
    });
    match packed {
        Some(path) if output.status.success() => Ok(path),
        _ => {
            let errors = String::from_utf8_lossy(&output.stderr);
            let lines: Vec<&str> = errors.lines().filter(|line| line.contains("error")).take(5).collect();
            Err(FetchError::Pack { package: name, message: lines.join("; ") })
        }
    }
}

/// The checksum of a file, as npm writes it.
fn integrity(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha512::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(format!("sha512-{}", BASE64_STANDARD.encode(digest.finalize()))),
            count => digest.update(chunk.get(..count).unwrap_or_default()),
        }
    }
}

/// Takes the library out of the package.
#[allow(clippy::disallowed_types, reason = "what is unpacked was checked against its pinned checksum")]
fn unpack(package: &Package, packed: &Path, target: &Path) -> io::Result<()> {
    let file = BufReader::new(File::open(packed)?);
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    for entry in archive.entries()? {
        let mut entry = entry?;
        // Only this one name, and under a name of ours: nothing in the archive chooses a path.
        if entry.path()?.file_name().is_some_and(|name| name == package.file) {
            io::copy(&mut entry, &mut File::create(target.join(package.file))?)?;
        }
    }
    Ok(())
}
