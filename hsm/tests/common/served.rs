//! An HSM that serves, and clients of every role.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use hsm::{
    SoftHsm,
    server::{Running, Settings, bind, limits::Limits},
};
use hsm_client::{Credential, RemoteHsm, Role, Subject};

pub struct Served {
    pub hsm: SoftHsm,
    pub running: Running,
    pub directory: tempfile::TempDir,
}

impl Served {
    pub fn start() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let hsm = super::create(directory.path());
        let server = server_credential(&hsm);
        let running = serve(&hsm, &server, limits);
        Self {
            hsm,
            running,
            directory,
        }
    }

    pub fn credential(&self, name: &str, role: Role) -> Credential {
        let name = name.to_owned();
        self.hsm
            .credential(Subject::Client { name, role }, 30)
            .unwrap()
    }

    pub fn client(&self, role: Role) -> RemoteHsm {
        let credential = self.credential(role.name(), role);
        RemoteHsm::connect(&[self.running.address().to_string()], &credential).unwrap()
    }

    /// The audit lines of an operation.
    pub fn audited(&self, act: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.directory.path().join("audit.jsonl")).unwrap();
        // A server that runs may be writing the last one.
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .filter(|line| line["act"] == act)
            .collect()
    }
}

pub fn server_credential(hsm: &SoftHsm) -> Credential {
    let hosts = vec!["127.0.0.1".to_owned()];
    hsm.credential(Subject::Server { hosts }, 30).unwrap()
}

pub fn serve(hsm: &SoftHsm, credential: &Credential, limits: Limits) -> Running {
    let any = "127.0.0.1:0".parse().unwrap();
    let settings = Settings {
        address: any,
        health: Some(any),
        limits,
    };
    let offline = bind(settings).unwrap();
    offline.serve(hsm.clone(), credential).unwrap()
}

/// What a way to the server does to the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Cuts when the request comes: it never reaches the server.
    BeforeRequest,
    /// Passes the request on and cuts when the answer comes.
    BeforeAnswer,
    /// Passes the request on and swallows the answer.
    Silence,
}

/// A way to a server, which breaks once when told to.
pub struct Way {
    pub address: SocketAddr,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Way {
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let fault = Arc::new(Mutex::new(None));
        let armed = Arc::clone(&fault);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Without a server the client finds the connection closed.
                if let Ok(server) = TcpStream::connect(server) {
                    let armed = Arc::clone(&armed);
                    thread::spawn(move || forward(client, server, &armed));
                }
            }
        });
        Self { address, fault }
    }

    /// Breaks the next call.
    pub fn breaks(&self, fault: Fault) {
        *self.fault.lock().unwrap() = Some(fault);
    }
}

fn forward(mut client: TcpStream, mut server: TcpStream, armed: &Mutex<Option<Fault>>) {
    let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let broken = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&broken);
    let answers = thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            match *seen.lock().unwrap() {
                Some(Fault::Silence) => continue,
                Some(_) => break,
                None => {}
            }
            if to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(n @ 1..) = client.read(&mut buffer) {
        if let Some(fault) = armed.lock().unwrap().take() {
            *broken.lock().unwrap() = Some(fault);
            if fault == Fault::BeforeRequest {
                break;
            }
        }
        if server.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
    answers.join().unwrap();
}
