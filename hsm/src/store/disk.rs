//! Files of the key store: bounded reads, durable writes.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use hsm_client::{HsmError, Result};

use super::store;

/// A store holds a few hundred keys; more than this is no store.
const FILE_MAX: u64 = 1 << 24;

/// A store error of one file.
pub(crate) fn io_error(path: &Path, doing: &str, error: &io::Error) -> HsmError {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => ": hold the key ceremony first, or give the right directory",
        io::ErrorKind::PermissionDenied => ": run as the user who owns the key store",
        io::ErrorKind::StorageFull => ": free some space and try again",
        _ => "",
    };
    store(&format!("{doing} {}: {error}{advice}", path.display()))
}

/// Reads a store file, bounded.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|e| io_error(path, "cannot open", &e))?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| io_error(path, "cannot read", &e))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(store("this is not a key store file: it is too long"));
    }
    Ok(bytes)
}

/// The steps of a durable write, each of which power may cut.
pub(crate) trait Disk {
    /// A new file for its owner only, over whatever has its name, with these bytes.
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Makes a file's bytes durable.
    fn sync(&mut self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, over whatever has it.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&mut self, directory: &Path) -> io::Result<()>;
}

/// The machine's own file system.
pub(crate) struct Real;

impl Disk for Real {
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        private_file(path)?.write_all(bytes)
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.sync_all()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_directory(&mut self, directory: &Path) -> io::Result<()> {
        sync_directory(directory)
    }
}

/// Writes a new file, all or nothing. An existing file is never replaced.
pub(crate) fn write_new(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = directory.join(name);
    if path.exists() {
        return Err(store(&format!(
            "{} exists: the ceremony never overwrites keys; move it away or open it",
            path.display()
        )));
    }
    replace(&mut Real, directory, name, bytes)
}

/// Puts a file in the place of another, all or nothing: temporary file, fsync, rename, fsync of the
/// directory. Whatever is cut, the name holds the old bytes or the new ones.
pub(crate) fn replace(
    disk: &mut dyn Disk,
    directory: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<()> {
    let (path, temporary) = (directory.join(name), directory.join(format!("{name}.new")));
    let written = disk
        .write(&temporary, bytes)
        .and_then(|()| disk.sync(&temporary))
        .and_then(|()| disk.rename(&temporary, &path))
        .and_then(|()| disk.sync_directory(directory));
    written.map_err(|e| {
        // Nothing half-done stays behind; if even this fails, the name says what it is.
        let _ = fs::remove_file(&temporary);
        io_error(&path, "cannot write", &e)
    })
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    restrict(&mut options);
    options.open(path)
}

/// Readable by the owner only, where the system knows owners.
pub(crate) fn restrict(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

/// Makes a directory that is its owner's alone; one that exists stays as it is.
pub(crate) fn own_directory(directory: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let made = builder.create(directory);
    made.map_err(|e| io_error(directory, "cannot create", &e))
}

/// Makes a rename or a new file in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = directory;
    Ok(())
}
