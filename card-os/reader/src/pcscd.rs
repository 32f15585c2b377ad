//! The machine's pcscd with its virtual readers: found running, or started as root and stopped
//! when this program ends.

use crate::{ReaderError, list};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// What the virtual readers' names start with.
pub const VIRTUAL_READER: &str = "Virtual PCD";

/// How long pcscd may take to offer its readers.
const START: Duration = Duration::from_secs(10);
/// How long another run on this machine is waited for.
const LOCK: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);

/// Where this pcscd comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was running; it stays.
    Running,
    /// This program started it and stops it.
    Started,
}

impl core::fmt::Display for Origin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Running => "the running pcscd",
            Self::Started => "a pcscd started for this run",
        })
    }
}

/// The use of the machine's virtual readers. There is one pcscd a machine, so a lock file keeps
/// runs of this project apart; dropping the value releases it.
#[derive(Debug)]
pub struct Pcscd {
    child: Option<Child>,
    readers: Vec<String>,
    // Released when the file closes, after the child was stopped.
    _lock: File,
}

impl Pcscd {
    /// Where it comes from.
    pub const fn origin(&self) -> Origin {
        if self.child.is_some() {
            Origin::Started
        } else {
            Origin::Running
        }
    }

    /// The virtual readers, in order of their ports.
    pub fn readers(&self) -> &[String] {
        &self.readers
    }
}

/// Finds a running pcscd with virtual readers, or starts one as root.
pub fn ensure() -> Result<Pcscd, ReaderError> {
    let lock = lock()?;
    if let Ok(all) = list() {
        let readers = virtual_readers(all);
        return if readers.is_empty() {
            Err(ReaderError::NoVirtualReader)
        } else {
            Ok(Pcscd {
                child: None,
                readers,
                _lock: lock,
            })
        };
    }
    if !is_root() {
        return Err(ReaderError::NotRoot);
    }
    let start = |why: String| ReaderError::Start { why };
    // setpriv (util-linux, on every Debian) has the kernel stop pcscd when this program is killed.
    let child = Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "pcscd", "--foreground"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| start(error.to_string()))?;
    // From here on dropping the value stops the child.
    let mut pcscd = Pcscd {
        child: Some(child),
        readers: Vec::new(),
        _lock: lock,
    };
    let deadline = Instant::now() + START;
    while Instant::now() < deadline {
        if let Some(Ok(Some(status))) = pcscd.child.as_mut().map(Child::try_wait) {
            return Err(start(format!("pcscd ended at once ({status})")));
        }
        pcscd.readers = list().map(virtual_readers).unwrap_or_default();
        if !pcscd.readers.is_empty() {
            return Ok(pcscd);
        }
        sleep(POLL);
    }
    Err(ReaderError::NoVirtualReader)
}

fn virtual_readers(all: Vec<String>) -> Vec<String> {
    let mut readers: Vec<_> = all
        .into_iter()
        .filter(|n| n.starts_with(VIRTUAL_READER))
        .collect();
    readers.sort();
    readers
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn lock() -> Result<File, ReaderError> {
    let path: PathBuf = std::env::temp_dir().join("onecard-virtual-readers.lock");
    let in_use = || ReaderError::InUse {
        path: path.display().to_string(),
    };
    // Another user may have made the file: reading it is enough to lock it.
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .or_else(|_| File::open(&path))
        .map_err(|_| in_use())?;
    let deadline = Instant::now() + LOCK;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(POLL),
            Err(_) => return Err(in_use()),
        }
    }
}

impl Drop for Pcscd {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // SIGTERM lets pcscd remove its socket and pid file; std can only send SIGKILL.
        let asked = Command::new("kill").arg(child.id().to_string()).status();
        let deadline = Instant::now() + Duration::from_secs(3);
        while asked.is_ok() && Instant::now() < deadline {
            if matches!(child.try_wait(), Ok(Some(_))) {
                return;
            }
            sleep(POLL);
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}
