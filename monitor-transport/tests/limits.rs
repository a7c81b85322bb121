//! What happens when something is full, and that it ends by itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation
)] // a test may fail loudly

mod common;

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use common::*;
use monitor_core::{Counts, Envelope, EventId, SendError, Transport, testing, testing::MemorySink};
use monitor_transport::{Spool, SpoolError};

/// One event that does not compress, about `kib` KiB.
fn noise(id: u128, kib: usize, project: &str) -> Envelope {
    let mut envelope = testing::envelope(id, &["noise"]);
    envelope.origin.project = project.into();
    let mut state = (id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::new();
    while text.len() < kib << 10 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(&format!("{state:016x}"));
    }
    envelope.events[0].attributes.insert("text".into(), text);
    envelope
}

async fn fill(spool: &Spool, from: u128, kib: usize) -> (u128, SendError) {
    for n in from..from + 10_000 {
        if let Err(error) = spool.send(noise(n, kib, "shop")).await {
            return (n, error);
        }
    }
    panic!("never full");
}

fn what(error: &SendError) -> &'static str {
    match error {
        SendError::Full { what } => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_full_spool_refuses_and_takes_again_when_it_was_drained() {
    let dir = tempfile::tempdir().unwrap();
    let sink = holding();
    let spool = builder(dir.path()).max_bytes(256 << 10).open(vec![sink.clone()], Arc::new(Counts::new())).await.unwrap();
    assert!(spool.is_ready());
    let (taken, error) = fill(&spool, 0, 4).await;
    assert_eq!(what(&error), "spool");
    assert!(!spool.is_ready() && spool.bytes() <= 256 << 10);
    sink.held.store(false, SeqCst);
    eventually("there is room again", || spool.is_ready()).await;
    spool.send(noise(taken, 4, "shop")).await.unwrap();
    assert!(spool.flush(SOON).await);
    assert_eq!(ids(&sink.offered.lock().unwrap()), (0..=taken).collect::<Vec<_>>());
    eventually("the accounts are even", || spool.bytes() == 0).await;
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn the_accounts_after_a_restart_are_those_of_before() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spool = builder(dir.path()).max_bytes(256 << 10).open(Vec::new(), Arc::new(Counts::new())).await.unwrap();
    let (taken, _) = fill(&spool, 0, 4).await;
    let bytes = spool.bytes();
    let left = leave(dir.path(), copy.path());
    let second = builder(&left).max_bytes(256 << 10).open(Vec::new(), Arc::new(Counts::new())).await.unwrap();
    assert_eq!(second.bytes(), bytes);
    assert_eq!(fill(&second, taken, 4).await.0, taken);
    assert!(second.close(SOON).await && spool.close(SOON).await);
}

#[tokio::test]
async fn one_project_cannot_take_the_room_of_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let spool = builder(dir.path()).max_bytes(256 << 10).project_share(0.5).open(Vec::new(), Arc::new(Counts::new())).await.unwrap();
    let (_, error) = fill(&spool, 0, 4).await;
    assert_eq!(what(&error), "project_share");
    assert!(spool.is_ready() && spool.bytes() <= 128 << 10);
    spool.send(noise(1 << 40, 4, "other")).await.unwrap();
    assert!(spool.close(SOON).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let spool = builder(dir.path())
        .queue(3, 1 << 20)
        .commit_delay(Duration::from_millis(300))
        .open(Vec::new(), Arc::new(Counts::new()))
        .await
        .unwrap();
    let sends: Vec<_> = (0..10)
        .map(|n| {
            let spool = spool.clone();
            tokio::spawn(async move { spool.send(pair(n)).await })
        })
        .collect();
    let mut results = Vec::new();
    for send in sends {
        results.push(send.await.unwrap());
    }
    let refused: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).map(what).collect();
    assert_eq!(refused, ["queue"; 7]);
    assert!(spool.is_ready());
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn a_disk_with_too_little_room_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let spool = builder(dir.path()).min_free_disk(u64::MAX >> 1).open(Vec::new(), Arc::new(Counts::new())).await.unwrap();
    assert_eq!(what(&spool.send(pair(1)).await.unwrap_err()), "disk");
    assert!(!spool.is_ready());
    assert!(spool.close(SOON).await);
}

/// A file system in memory, unmounted at the end.
struct Mounted<'a>(&'a Path);

impl Mounted<'_> {
    fn new(path: &Path) -> Option<Mounted<'_>> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(path).output();
        mount.is_ok_and(|mount| mount.status.success()).then_some(Mounted(path))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[tokio::test]
async fn f25_a_disk_that_was_full_is_used_again_without_a_restart_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let sink = holding();
    let counts = Arc::new(Counts::new());
    let Some(_mounted) = Mounted::new(dir.path()) else {
        // Only root can mount; `a_full_spool_refuses_and_takes_again_when_it_was_drained` covers the rest.
        println!("not allowed to mount a small file system: the real full disk was not tried");
        return;
    };
    let filler = dir.path().join("filler");
    fs::write(&filler, vec![7; 6 << 20]).unwrap();
    let spool = builder(&dir.path().join("spool")).open(vec![sink.clone()], counts).await.unwrap();
    let (taken, error) = fill(&spool, 0, 16).await;
    assert_eq!(what(&error), "disk");
    assert!(!spool.is_ready());
    assert!((200..4000).contains(&taken), "{taken}");
    // Delivery goes on although nothing can be taken.
    assert!(!sink.offered.lock().unwrap().is_empty());
    fs::remove_file(&filler).unwrap();
    eventually("the disk is tried again", || spool.is_ready()).await;
    spool.send(noise(taken, 16, "shop")).await.unwrap();
    sink.held.store(false, SeqCst);
    assert!(spool.flush(SOON).await);
    let got = ids(&sink.offered.lock().unwrap());
    assert_eq!(got, (0..=taken).collect::<Vec<_>>());
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn f25_a_full_disk_is_emptied_by_delivering() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mounted) = Mounted::new(dir.path()) else {
        println!("not allowed to mount a small file system: the real full disk was not tried");
        return;
    };
    let sink = holding();
    let spool = builder(&dir.path().join("spool")).batch(20, 1 << 20).open(vec![sink.clone()], Arc::new(Counts::new())).await.unwrap();
    let (taken, _) = fill(&spool, 0, 16).await;
    sink.held.store(false, SeqCst);
    assert!(spool.flush(SOON).await, "pending {:?} of {taken}", spool.pending("main"));
    eventually("there is room again", || spool.is_ready()).await;
    spool.send(noise(taken, 16, "shop")).await.unwrap();
    assert!(spool.flush(SOON).await);
    let mut got = ids(&sink.offered.lock().unwrap());
    got.dedup();
    assert_eq!(got, (0..=taken).collect::<Vec<_>>());
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn f30_a_directory_that_cannot_be_used_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    for path in [dir.path().join("missing/spool"), file.clone(), file.join("spool")] {
        let error = builder(&path).open(Vec::new(), Arc::new(Counts::new())).await.unwrap_err();
        assert!(matches!(error, SpoolError::Directory { .. }), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    let made = dir.path().join("made");
    let spool = builder(&made).open(Vec::new(), Arc::new(Counts::new())).await.unwrap();
    assert!(made.join("spool.db").exists());
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn f31_a_second_user_of_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path(), &[]).await;
    let error = builder(dir.path()).open(Vec::new(), Arc::new(Counts::new())).await.unwrap_err();
    assert!(error.to_string().ends_with(&format!("is locked by pid {}", std::process::id())), "{error}");
    assert!(spool.close(SOON).await);
    let (spool, _) = open(dir.path(), &[]).await;
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let scenes = [
        builder(dir.path()).project_share(0.0),
        builder(dir.path()).project_share(f64::NAN),
        builder(dir.path()).max_bytes(0),
        builder(dir.path()).queue(0, 1),
        builder(dir.path()).batch(0, 1),
        builder(dir.path()).retry(Duration::ZERO, Duration::from_secs(1)),
    ];
    for scene in scenes {
        assert!(matches!(scene.open(Vec::new(), Arc::new(Counts::new())).await, Err(SpoolError::BadSetting(_))));
    }
}

#[tokio::test]
async fn a_drained_spool_gives_the_disk_back() {
    let dir = tempfile::tempdir().unwrap();
    let spool = builder(dir.path()).open(Vec::new(), Arc::new(Counts::new())).await.unwrap();
    for n in 0..600 {
        spool.send(noise(n, 64, "shop")).await.unwrap();
    }
    assert!(spool.close(SOON).await);
    let size = || fs::metadata(dir.path().join("spool.db")).unwrap().len();
    assert!(size() > 20 << 20, "{}", size());
    let sink = Arc::new(MemorySink::new("main"));
    let spool = builder(dir.path()).open(vec![sink.clone()], Arc::new(Counts::new())).await.unwrap();
    assert!(spool.flush(SOON).await);
    assert_eq!(sink.events().len(), 600);
    assert_eq!(sink.events()[5].id, EventId(5));
    eventually("the file shrinks", || size() < 20 << 20).await;
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn the_reserve_is_made_as_soon_as_there_is_room_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path(), &[]).await;
    let reserve = dir.path().join("spool.reserve");
    // As after a start on a disk that was nearly full.
    std::fs::remove_file(&reserve).unwrap();
    eventually("the reserve is there", || reserve.exists()).await;
    assert!(spool.close(SOON).await);
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_directory_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("spool");
    let (spool, _) = open(&dir, &[]).await;
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn a_single_project_may_use_all_of_the_spool() {
    for (projects, most) in [(Some(1), 20_000), (Some(2), 10_000), (None, 10_000)] {
        let dir = tempfile::tempdir().unwrap();
        // As a host opens it, who chose no share.
        let builder = Spool::builder(dir.path()).min_free_disk(0).max_bytes(20_000).linger(Duration::from_millis(5));
        let builder = if let Some(count) = projects { builder.projects(count) } else { builder };
        let spool = builder.open(Vec::new(), Arc::new(Counts::new())).await.unwrap();
        let mut refused = None;
        for n in 0..1_000 {
            refused = spool.send(pair(n)).await.err();
            if refused.is_some() {
                break;
            }
        }
        let what = match refused {
            Some(SendError::Full { what }) => what,
            other => panic!("{other:?}"),
        };
        assert_eq!(what, if projects == Some(1) { "spool" } else { "project_share" });
        assert!(spool.bytes() <= most && spool.bytes() > most - 1_000, "{projects:?}: {}", spool.bytes());
        assert_eq!(spool.is_ready(), projects != Some(1));
        assert!(spool.close(SOON).await);
    }
}
