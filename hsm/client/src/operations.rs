//! Every operation of the HSM in one table: its number on the wire, who may call it, and what a
//! client may do when an answer does not come.

use serde::{Deserialize, Serialize};

use crate::{Request, SignPurpose};

/// What a client of the HSM is. It stands in its certificate (`OU`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Terminal gateway 终端网关: SAM ceilings and proofs for terminals.
    TerminalGateway,
    /// Clearing house 清算.
    Clearing,
    /// Issuance 发卡.
    Issuance,
    /// Officer 密钥管理员: a person; two of them authorise what takes two.
    Officer,
    /// Auditor 审计员: sees everything that is no secret, changes nothing.
    Auditor,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::TerminalGateway,
        Self::Clearing,
        Self::Issuance,
        Self::Officer,
        Self::Auditor,
    ];

    /// As it stands in certificates, audit lines and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TerminalGateway => "terminal-gateway",
            Self::Clearing => "clearing",
            Self::Issuance => "issuance",
            Self::Officer => "officer",
            Self::Auditor => "auditor",
        }
    }

    /// The role of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Which of several servers may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Any: the answer follows from the keys alone.
    Any,
    /// The first one alone: the answer follows from what that server remembers (loads, approvals).
    First,
    /// Any opens the session; the one that did answers for it.
    Session,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The operation.
    pub operation: Operation,
    /// Its name: in audit lines, metrics and errors.
    pub name: &'static str,
    /// Who may call it.
    pub roles: &'static [Role],
    /// Whether doing it twice is the same as doing it once, so that a call without an answer may be
    /// sent again.
    pub idempotent: bool,
    /// Which server may answer.
    pub route: Route,
    /// Whether it needs the authorised state.
    pub dual_control: bool,
}

macro_rules! operations {
    ($($name:ident $text:literal $roles:expr, $idempotent:ident, $route:ident, $control:ident;)+) => {
        /// What can be asked. The number on the wire is the position in this table, from 0; a new
        /// operation goes to the end of it and of [`Request`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {
            $(#[doc = concat!("`", $text, "`")] $name),+
        }

        /// The table, in the order of the numbers.
        pub const OPERATIONS: &[Rule] = &[
            $(Rule {
                operation: Operation::$name,
                name: $text,
                roles: $roles,
                idempotent: operations!(@ $idempotent),
                route: Route::$route,
                dual_control: operations!(@ $control),
            }),+
        ];

        impl Operation {
            /// Its row.
            pub const fn rule(self) -> &'static Rule {
                match self {
                    $(Self::$name => const { &Rule {
                        operation: Operation::$name,
                        name: $text,
                        roles: $roles,
                        idempotent: operations!(@ $idempotent),
                        route: Route::$route,
                        dual_control: operations!(@ $control),
                    } }),+
                }
            }
        }

        impl Request {
            /// What it asks.
            pub const fn operation(&self) -> Operation {
                match self {
                    $(Self::$name { .. } => Operation::$name),+
                }
            }
        }
    };
    (@ again) => { true };
    (@ once) => { false };
    (@ two) => { true };
    (@ one) => { false };
}

use Role::{Auditor, Clearing, Issuance, Officer, TerminalGateway};

const EVERYBODY: &[Role] = &Role::ALL;
const CONTROL: &[Role] = &[Officer, Auditor];

operations! {
    Status         "status"            EVERYBODY,                    again, Any, one;
    Keys           "keys"              CONTROL,                      again, Any, one;
    OwnKeys        "own-keys"          CONTROL,                      again, Any, one;
    Scp03Open      "scp03-open"        &[Issuance],                  once, Session, one;
    Scp03Wrap      "scp03-wrap"        &[Issuance],                  once, Session, one;
    PutIssuerKeys  "put-issuer-keys"   &[Issuance],                  once, Session, one;
    WrapKeys       "wrap-keys"         &[Issuance],                  once, Session, one;
    FirstPin       "first-pin"         &[Issuance],                  once, Session, one;
    Scp03Close     "scp03-close"       &[Issuance],                  once, Session, one;
    Verify         "verify"            &[TerminalGateway, Clearing], again, Any, one;
    // The same load again has the same answer, from the server that remembers the first.
    AuthorizeLoad  "authorize-load"    &[Clearing],                  again, First, one;
    SamCeilingMac  "sam-ceiling"       &[TerminalGateway, Issuance], again, Any, one;
    WrapData       "wrap-data"         &[Issuance],                  again, Any, one;
    UnwrapData     "unwrap-data"       &[Issuance],                  again, Any, one;
    IndexData      "index-data"        &[Issuance],                  again, Any, one;
    // And see `signers`.
    Sign           "sign"              &[Clearing, Issuance],        again, Any, one;
    PublicKey      "public-key"        EVERYBODY,                    again, Any, one;
    Random         "random"            &[TerminalGateway, Clearing, Issuance, Officer], again, Any, one;
    CardCommand    "card-command"      &[Issuance],                  once, Any, one;
    // Like a load: the order is the ledger's.
    AuthorizeOverdraft "authorize-overdraft" &[Clearing],            again, First, one;
    AuthenticateToCard "authenticate-to-card" &[Issuance],           again, Any, one;
    SamWriteKey    "sam-write-key"     &[Issuance],                  again, Any, one;
    TranslatePin   "translate-pin"     &[TerminalGateway, Issuance], again, Any, one;
    // Wrong guesses are counted where they are made.
    VerifyPin      "verify-pin"        &[TerminalGateway, Issuance], once, First, one;
    ApprovalChallenge "approval-challenge" &[Officer],           once, First, one;
    Approve        "approve"           &[Officer],                   once, First, one;
    EndAuthorisation "end-authorisation" &[Officer],             again, First, one;
    ClearLoadLock  "clear-load-lock"   &[Officer],                   again, First, two;
    Certify        "certify"           &[Officer],                   once, First, two;
    // Each server has its own store: what one did goes to the others by export and import.
    SetKeyState    "key-state"         &[Officer],                   once, First, two;
    Rotate         "rotate"            &[Officer],                   once, First, two;
    Revoke         "revoke-certificate" &[Officer],                  once, First, two;
    Certificates   "certificates"      CONTROL,                      again, First, one;
    AuthenticateMutually "authenticate-mutually" &[TerminalGateway, Issuance], again, Any, one;
    KeyCheckValue  "key-check-value"   CONTROL,                      again, Any, one;
    // Each server has its own log.
    AuditLines     "audit-lines"       &[Auditor],                   again, First, one;
}

/// Who may ask for a signature of a purpose. Nobody signs audit checkpoints or certificates from
/// outside: those the HSM writes itself.
pub const fn signers(purpose: SignPurpose) -> &'static [Role] {
    match purpose {
        SignPurpose::Hotlist | SignPurpose::Parameters | SignPurpose::Settlement => &[Clearing],
        SignPurpose::CardCa => &[Issuance],
        SignPurpose::Audit | SignPurpose::ClientCa => &[],
    }
}

impl Operation {
    /// The number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The operation of a number.
    pub fn from_number(number: u16) -> Option<Self> {
        OPERATIONS
            .get(usize::from(number))
            .map(|rule| rule.operation)
    }

    /// Whether a role may call it at all.
    pub fn permits(self, role: Role) -> bool {
        self.rule().roles.contains(&role)
    }
}

impl Request {
    /// Whether a role may call this: the operation, and what it is to be done with.
    pub fn permits(&self, role: Role) -> bool {
        self.operation().permits(role)
            && match self {
                Self::Sign { purpose, .. } => signers(*purpose).contains(&role),
                _ => true,
            }
    }

    /// How many items of a batch it carries; 0 for what is no batch.
    pub fn items(&self) -> usize {
        match self {
            Self::Scp03Wrap { commands, .. } => commands.len(),
            Self::Verify { checks } => checks.len(),
            Self::WrapData { items } | Self::UnwrapData { items } => items.len(),
            Self::IndexData { values, .. } => values.len(),
            _ => 0,
        }
    }
}
