//! Where the repository is, which files belong to it, and on what machine we are.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Outcome};

/// The repository's root directory.
///
/// Known from where this crate was compiled, so that the tool works from any working directory.
#[must_use]
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map_or_else(|| manifest.to_path_buf(), Path::to_path_buf)
}

/// The cargo that runs us.
#[must_use]
pub fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// The project's files as paths relative to the root, sorted: tracked ones and new ones that are not ignored.
///
/// In a tree without git history the directories are walked instead.
///
/// # Errors
/// The tree cannot be read.
pub fn files() -> Outcome<Vec<PathBuf>> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output();
    let mut files = match listed {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            let names = String::from_utf8_lossy(&output.stdout).into_owned();
            names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect()
        }
        _ => {
            let mut found = Vec::new();
            walk(&root(), Path::new(""), &mut found)?;
            found
        }
    };
    files.retain(|file| root().join(file).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

fn walk(root: &Path, below: &Path, found: &mut Vec<PathBuf>) -> Outcome {
    const GENERATED: [&str; 3] = [".git", "target", ".tollgate"];
    let directory = root.join(below);
    let entries = std::fs::read_dir(&directory).map_err(Failure::during(directory.display()))?;
    for entry in entries {
        let entry = entry.map_err(Failure::during(directory.display()))?;
        let name = entry.file_name();
        let path = below.join(&name);
        if entry.path().is_dir() {
            if !GENERATED.iter().any(|generated| name == *generated) {
                walk(root, &path, found)?;
            }
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// Reads a file of the repository.
///
/// # Errors
/// It is not there or not UTF-8.
pub fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(root().join(path)).map_err(Failure::during(path.display()))
}

/// Writes a file of the repository, creating its directory.
///
/// # Errors
/// The disk refuses.
pub fn write(path: &Path, text: &str) -> Outcome {
    let target = root().join(path);
    if let Some(directory) = target.parent() {
        std::fs::create_dir_all(directory).map_err(Failure::during(directory.display()))?;
    }
    std::fs::write(&target, text).map_err(Failure::during(path.display()))
}

/// Replaces everything below the line `<!-- figures -->` of a page: the method above stays as its author wrote it.
///
/// # Errors
/// The page has no such line.
pub fn write_below_mark(page: &Path, text: &str) -> Outcome {
    const MARK: &str = "<!-- figures -->";
    let old = read(page)?;
    let (method, _) = old.split_once(MARK).ok_or_else(|| Failure::new(format!("{} has no {MARK}", page.display())))?;
    write(page, &format!("{method}{MARK}\n\n{text}"))
}

/// What `cargo metadata` says about the workspace as built on this machine (packages of other platforms would have
/// to be downloaded only to be named).
///
/// # Errors
/// Cargo failed, which it says itself.
pub fn metadata() -> Outcome<serde_json::Value> {
    let output = Command::new(cargo())
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &platform()?])
        .current_dir(root())
        .output()
        .map_err(Failure::during("running cargo metadata"))?;
    if !output.status.success() {
        return Err(Failure::new(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr))));
    }
    serde_json::from_slice(&output.stdout).map_err(Failure::during("reading cargo metadata"))
}

fn platform() -> Outcome<String> {
    let output = Command::new("rustc").arg("-vV").output().map_err(Failure::during("running rustc -vV"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("rustc -vV names no host"))
}

/// The machine's shape in one line, for the head of a report: processors, memory, kernel.
#[must_use]
pub fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let about = |path: &str, key: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
        line.split(':').nth(1).unwrap_or("unknown").trim().to_owned()
    };
    let kibibytes: u64 = about("/proc/meminfo", "MemTotal").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{processors} × {}, {} GiB memory, Linux {}",
        about("/proc/cpuinfo", "model name"),
        kibibytes.div_ceil(1024 * 1024),
        kernel.trim()
    )
}
