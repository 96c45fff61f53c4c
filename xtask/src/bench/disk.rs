//! How often per second this disk makes a small write durable: what bounds every commit.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use super::load::per_second;
use crate::clock::Stopwatch;
use crate::failure::{Failure, Outcome};

/// Durable writes of 4 KiB per second, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Syncs {
    /// Each write makes the file longer (as a new write-ahead log does).
    pub(super) appending: u64,
    /// Each write goes into space that was written before (as a recycled write-ahead log does).
    pub(super) overwriting: u64,
}

/// Measures in this directory, for this long each.
///
/// # Errors
/// The disk refuses.
pub(super) fn measure(directory: &Path, duration: Duration) -> Outcome<Syncs> {
    let appending = syncs(&directory.join("append.probe"), 0, duration)?;
    let overwriting = syncs(&directory.join("overwrite.probe"), 16 * 1024 * 1024, duration)?;
    Ok(Syncs { appending, overwriting })
}

fn syncs(path: &Path, prepared_bytes: usize, duration: Duration) -> Outcome<u64> {
    let doing = || Failure::during(format!("measuring the disk with {}", path.display()));
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path).map_err(doing())?;
    file.write_all(&vec![0; prepared_bytes]).map_err(doing())?;
    file.sync_all().map_err(doing())?;
    file.seek(SeekFrom::Start(0)).map_err(doing())?;
    let block = [1; 4096];
    let watch = Stopwatch::start();
    let mut count: u64 = 0;
    while watch.elapsed() < duration {
        file.write_all(&block).map_err(doing())?;
        file.sync_data().map_err(doing())?;
        count += 1;
        if prepared_bytes > 0 && count.is_multiple_of(4096) {
            file.seek(SeekFrom::Start(0)).map_err(doing())?;
        }
    }
    let rate = per_second(count, watch.elapsed());
    std::fs::remove_file(path).map_err(doing())?;
    Ok(rate)
}
