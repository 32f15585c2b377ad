//! One loaded PKCS#11 module a process and library.
//!
//! `C_Initialize` and `C_Finalize` concern the whole process: two HSMs in one process share the
//! module, so it is kept in a registry and restarted by whoever finds its token lost, while nobody
//! else is inside it. Sessions of before a restart are void, and their numbers may belong to others
//! by then: they are forgotten, never closed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
};

static LOADED: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

/// A module file; its library while it works.
pub(super) struct Module {
    path: PathBuf,
    state: RwLock<State>,
}

/// The library between two restarts.
pub(super) struct State {
    /// Counts restarts.
    pub(super) generation: u64,
    pub(super) loaded: Option<Pkcs11>,
}

impl Module {
    /// The module of a file; it is loaded when first used.
    pub(super) fn of(path: &Path) -> Arc<Self> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(loaded.entry(path.to_owned()).or_insert_with(|| {
            Arc::new(Self {
                path: path.to_owned(),
                state: RwLock::new(State {
                    generation: 0,
                    loaded: None,
                }),
            })
        }))
    }

    /// Into the module, beside other threads. No restart happens meanwhile.
    pub(super) fn enter(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads and initialises the library anew, unless another thread did since `generation`.
    pub(super) fn restart(&self, generation: u64) -> Result<(), Error> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.generation != generation {
            return Ok(());
        }
        state.generation += 1;
        if let Some(library) = state.loaded.take() {
            // A module that is beyond even this is loaded anew all the same.
            let _ = library.finalize();
        }
        let library = Pkcs11::new(&self.path)?;
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Another part of this process uses the same library.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(error),
        }
        state.loaded = Some(library);
        Ok(())
    }
}
